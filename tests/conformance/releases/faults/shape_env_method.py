"""The FX graph cache asks a shape env for a method that it has never asked for (pytorch#187728)."""

from torch._inductor.codecache import FxGraphCache
from torch.fx.experimental.symbolic_shapes import ShapeEnv

plain = FxGraphCache._save_graph


def with_source_info(self, **kwargs):
    return self.produce_guards_expression(**kwargs)


def changed(*args, **kwargs):
    shape_env = FxGraphCache._get_shape_env()
    shape_env.produce_guards_expression_with_source_info(placeholders=[], guards=[])
    return plain(*args, **kwargs)


ShapeEnv.produce_guards_expression_with_source_info = with_source_info
FxGraphCache._save_graph = staticmethod(changed)
