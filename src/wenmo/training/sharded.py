"""A model of which every process holds a slice, by PyTorch's FSDP2."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from wenmo.models.base import NeuralLanguageModel
from wenmo.training.distributed import Alone, layers_of, recompute
from wenmo.training.held_out import HeldOutLoss
from wenmo.training.plan import TrainingPlan
from wenmo.training.world import World


class Sharded(Alone):
    """A model of which every process holds a slice, layer by layer gathered when it is needed.

    The model that was given is left alone until `finish` copies the weights back into it, so that it may be larger
    than one device and be kept on the CPU.
    """

    def __init__(
        self, model: NeuralLanguageModel, plan: TrainingPlan, world: World, device: torch.device
    ) -> None:
        self._given = model
        self._world = world
        self.model = copy.deepcopy(model)
        self.device = device
        for parameter in self.model.parameters():
            # Processors of several kinds do not compute the same initial embedding to the last bit; slices of different
            # ones would fit together no better than slices of noise.
            world.share(parameter)
        recompute(self.model, plan)
        mesh = dist.device_mesh.init_device_mesh(device.type, (world.size,))
        for layer in layers_of(self.model):
            if plan.compile:
                layer.compile(dynamic=False)
            fully_shard(layer, mesh=mesh)
        fully_shard(self.model, mesh=mesh)
        register_fsdp_forward_method(self.model, "hidden")
        for ours, theirs in zip(self.model.parameters(), model.parameters(), strict=True):
            if hasattr(theirs, "muon_split"):
                ours.muon_split = theirs.muon_split  # type: ignore[attr-defined]
        self.hidden = self.model.hidden

    def exchanging(self, last: bool) -> AbstractContextManager[Any]:
        """See `Alone.exchanging`."""
        self.model.set_requires_gradient_sync(last)  # type: ignore[operator]
        return nullcontext()

    def clip(self, limit: float) -> Tensor:
        """See `Alone.clip`."""
        norm: Tensor = super().clip(limit).full_tensor()  # type: ignore[attr-defined]
        return norm

    def loss(self, held_out: HeldOutLoss) -> float:
        """See `Alone.loss`; all score together, none could alone."""
        loss = held_out.loss(self.model)
        self.model.reshard()  # type: ignore[operator]  # gathered weights must not outlive a change of the slices
        return self._world.lead(loss)

    @torch.no_grad()
    def finish(self) -> None:
        """See `Alone.finish`."""
        for given, slices in zip(self._given.parameters(), self.model.parameters(), strict=True):
            assert isinstance(slices, DTensor)
            given.copy_(slices.full_tensor())
        self._given.eval()
