"""Muon for matrices of which every process holds a slice of rows."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor

from wenmo.training.optimisation import Muon, orthogonalise

Sizes = tuple[int, ...]


class ShardedMuon(Muon):
    """`Muon` whose Newton-Schulz iterations are divided over the processes.

    Orthogonalising needs whole matrices. Matrices of one shape are taken in rounds of as many as there are processes:
    in one exchange each process sends its slices of all of them and receives all slices of one, which it
    orthogonalises; a second exchange brings every slice back. A process sends what one of its slices of all parameters
    holds, twice, and iterates one matrix in `size`. Momentum and weight decay work on slices.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Takes one step; see `torch.optim.Optimizer.step`."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            buckets: dict[tuple[torch.Size, Sizes], list[tuple[DTensor, Tensor]]] = {}
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                update = self._momentum(parameter, group["momentum"])
                assert isinstance(parameter, DTensor) and isinstance(update, DTensor)
                parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
                sizes = tuple(getattr(parameter, "muon_split", (parameter.shape[0],)))
                buckets.setdefault((parameter.shape, sizes), []).append((parameter, update.to_local()))
            for (shape, sizes), pairs in buckets.items():
                mesh = pairs[0][0].device_mesh
                for start in range(0, len(pairs), mesh.size()):
                    part = pairs[start : start + mesh.size()]
                    steps = _directions([u for _, u in part], shape[0], sizes, mesh.get_group())
                    for (weight, _), direction in zip(part, steps, strict=True):
                        weight.to_local().add_(direction, alpha=-group["lr"])
        return loss


def _directions(slices: list[Tensor], rows: int, sizes: Sizes, group: dist.ProcessGroup) -> list[Tensor]:
    """Returns the slices of the orthogonalised matrices, scaled as `Muon` scales them.

    Args:
        slices: This process's rows of at most as many matrices as there are processes.
        rows: Rows of a whole matrix.
        sizes: Rows of each of the matrices that are stored as one.
        group: The processes.
    """
    size, rank = dist.get_world_size(group), dist.get_rank(group)
    each, columns = -(-rows // size), slices[0].shape[1]
    outgoing = slices[0].new_zeros(size, each, columns)
    for place, piece in zip(outgoing, slices, strict=False):
        place[: piece.shape[0]] = piece
    incoming = torch.empty_like(outgoing)
    dist.all_to_all_single(incoming, outgoing, group=group)
    if rank < len(slices):
        whole = incoming.view(size * each, columns)
        for piece in torch.split(whole[:rows], list(sizes)):
            scale = math.sqrt(max(1.0, piece.shape[0] / columns))
            piece.copy_(orthogonalise(piece[None])[0] * scale)
    dist.all_to_all_single(outgoing, incoming, group=group)
    return [place[: piece.shape[0]] for place, piece in zip(outgoing, slices, strict=False)]
