"""Muon whose Newton-Schulz iterations are divided over the processes."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor

from wenmo.training.optimisation import Muon, local, orthogonalise

Sizes = tuple[int, ...]
_all_gather = getattr(dist, "all_gather_single", dist.all_gather_into_tensor)  # its name from PyTorch 2.13 on


class DividedMuon(Muon):
    """`Muon` for all processes of a world: each orthogonalises one matrix in `size`.

    Orthogonalising needs whole matrices, and takes as long in every process as in one alone, which many processes with
    little work each would feel. Matrices of one shape are taken in rounds of as many as there are processes. Where each
    process holds a copy of the model, it orthogonalises one matrix of a round, and all are gathered. Where each holds a
    slice of every matrix (`DTensor` rows), one exchange brings the slices of a matrix together in one process, and a
    second brings them back. Momentum and weight decay work on what a process holds.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Takes one step; see `torch.optim.Optimizer.step`."""
        loss = closure() if closure is not None else None
        size = dist.get_world_size()
        for group in self.param_groups:
            buckets: dict[tuple[torch.Size, Sizes], list[tuple[Tensor, Tensor]]] = {}
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                update = self._momentum(parameter, group["momentum"])
                sizes = tuple(getattr(parameter, "muon_split", (parameter.shape[0],)))
                buckets.setdefault((parameter.shape, sizes), []).append((parameter, update))
            for (_, sizes), pairs in buckets.items():
                for start in range(0, len(pairs), size):
                    part = pairs[start : start + size]
                    directions = _exchanged if hasattr(part[0][0], "device_mesh") else _gathered
                    steps = directions([local(update) for _, update in part], sizes)
                    for (parameter, _), direction in zip(part, steps, strict=True):
                        self._move(parameter, direction, group)
        return loss


def _orthogonalised(matrix: Tensor, sizes: Sizes) -> Tensor:
    """Matrices stored as one (rows in `sizes`), each orthogonalised and scaled as `Muon` scales it."""
    pieces = []
    for piece in torch.split(matrix, list(sizes)):
        scale = math.sqrt(max(1.0, piece.shape[0] / piece.shape[1]))
        pieces.append(orthogonalise(piece[None])[0] * scale)
    return torch.cat(pieces)


def _gathered(updates: list[Tensor], sizes: Sizes) -> list[Tensor]:
    """Orthogonalises at most as many whole matrices, the same in every process, as there are processes."""
    size, rank = dist.get_world_size(), dist.get_rank()
    own = _orthogonalised(updates[rank], sizes) if rank < len(updates) else torch.zeros_like(updates[0])
    everyone = own.new_empty(size * own.shape[0], own.shape[1])
    _all_gather(everyone, own)
    return list(torch.split(everyone, own.shape[0]))[: len(updates)]


def _exchanged(slices: list[Tensor], sizes: Sizes) -> list[Tensor]:
    """Orthogonalises at most as many matrices as there are processes, given and returned by this process's rows."""
    size, rank, rows = dist.get_world_size(), dist.get_rank(), sum(sizes)
    each, columns = -(-rows // size), slices[0].shape[1]
    outgoing = slices[0].new_zeros(size, each, columns)
    for place, piece in zip(outgoing, slices, strict=False):
        place[: piece.shape[0]] = piece
    incoming = torch.empty_like(outgoing)
    dist.all_to_all_single(incoming, outgoing)
    if rank < len(slices):
        whole = incoming.view(size * each, columns)
        whole[:rows] = _orthogonalised(whole[:rows], sizes)
    dist.all_to_all_single(outgoing, incoming)
    return [place[: piece.shape[0]] for place, piece in zip(outgoing, slices, strict=False)]
