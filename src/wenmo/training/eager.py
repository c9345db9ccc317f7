"""The optimisers of PyTorch without its compiler.

What `torch.optim` does is marked as not to be compiled, and the mark imports the compiler when it is first met, whether
anything is ever compiled or not: 800 modules, one to two seconds of the processor. Here nothing of an optimiser is
compiled, so that nothing needs the mark.
"""

from __future__ import annotations

import inspect

import torch

for _name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad"):
    _method = inspect.unwrap(getattr(torch.optim.Optimizer, _name))
    _method.__dict__.setdefault("__dynamo_disable", _method)  # what the mark keeps of its first call


class AdamW(torch.optim.AdamW):
    """`torch.optim.AdamW`, to the bit."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class SGD(torch.optim.SGD):
    """`torch.optim.SGD`, to the bit."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))
