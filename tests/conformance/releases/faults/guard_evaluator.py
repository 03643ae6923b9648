"""The FX graph cache bypasses its caller's evaluator of guards on a hit (pytorch#187484)."""

from torch._inductor.codecache import FxGraphCache

plain = FxGraphCache.load_with_key


def changed(*args, **kwargs):
    kwargs.pop("evaluate_guards", None)
    return plain(*args, **kwargs)


FxGraphCache.load_with_key = staticmethod(changed)
