"""Whether tensors look like those of an earlier call, asked of all of them in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch._C._dynamo.guards import TensorGuards


def same_looks(tensors: Sequence[torch.Tensor]) -> Callable[..., bool]:
    """A function that tells whether its arguments have the class, dtype, device, shape and strides
    of ``tensors``; it may say no to some that have.

    Asking each tensor for each of these in Python takes as long as copying 32 KB does. Dynamo
    compares inputs with the same guards. The plain way is to say no: then
    :func:`~piecewise_reference.cudagraph.static_inputs.make_copy_and_call` finds the layout by
    what the tensors say themselves.
    """
    return TensorGuards(  # whose types are declared for one tensor
        *tensors,
        dynamic_dims_sizes=[list(each.shape) for each in tensors],  # type: ignore[misc]
        dynamic_dims_strides=[list(each.stride()) for each in tensors],  # type: ignore[misc]
    ).check
