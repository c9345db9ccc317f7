"""Optimisers, parameter groups and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from wenmo.models.base import NeuralLanguageModel
from wenmo.training.eager import SGD, AdamW

NEWTON_SCHULZ = ((3.4445, -4.7750, 2.0315),) * 5
"""Coefficients of the quintic iteration in Jordan et al. 2024, "Muon: An optimizer for hidden layers"."""
MUON_TOKENS_PER_SIDE = 4
"""Muon pays when a step has this many tokens for each unit of the smaller matrix side. Its five iterations then make a
step about half as long again, and it still reached in the same time what AdamW did not (docs/lab.md, 2026-11-23)."""
LOW_PRECISION_SIDE = 128
"""Smallest side of a matrix from which iterating in bfloat16 is faster on CPUs that have units for it."""


def orthogonalise(updates: Tensor, low_precision: bool = False) -> Tensor:
    """Replaces each matrix by (nearly) the nearest one with orthonormal rows or columns.

    Newton-Schulz iteration on U S V^T -> U V^T (Jordan et al. 2024), in bfloat16 on CUDA.

    Args:
        updates: Matrices (N, rows, columns).
        low_precision: Iterate in bfloat16 on a CPU too, where the matrices are large enough to gain from it.

    Returns:
        A tensor of the same shape and dtype.
    """
    low = updates.is_cuda or (low_precision and min(updates.shape[-2:]) >= LOW_PRECISION_SIDE)
    x = updates.bfloat16() if low else updates.float()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for a, b, c in NEWTON_SCHULZ:
        gram = x @ x.mT
        poly = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, poly, x, beta=a)
    if tall:
        x = x.mT
    return x.to(updates.dtype)


def local(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor: its slice of a `DTensor`, all of any other."""
    return cast(Any, tensor).to_local() if hasattr(tensor, "device_mesh") else tensor


class Muon(torch.optim.Optimizer):
    """Momentum orthogonalised by Newton-Schulz, for hidden matrices (Jordan et al. 2024), with rows of equal length.

    The rows of an orthogonalised matrix that is taller than wide differ in length. As in NorMuon (Li et al. 2025,
    https://arxiv.org/abs/2510.05491) each is divided by the root of its mean square over the last steps.

    Without that it is the rule of `torch.optim.Muon` with its "original" learning-rate adjustment, and two differences:
    the iteration keeps float32 on CPUs unless told otherwise, and a parameter with the attribute `muon_split` (row
    sizes) is several matrices stored as one, each orthogonalised alone. Matrices of one shape are iterated as a batch.

    Args:
        params: 2-D parameters or groups of them.
        lr: Learning rate; an update has root-mean-square entries of about lr / sqrt(columns) where rows are evened, and
            of lr / sqrt(larger side), times the root of rows / columns where there are more rows, where they are not.
        momentum: Nesterov momentum.
        weight_decay: Decoupled weight decay: weights shrink by lr * weight_decay a step.
        low_precision: See `orthogonalise`.
        row_memory: Share of the mean square of a row that is kept from step to step; None leaves rows as they are.
        threads: Threads that orthogonalise side by side, on a CPU: matrices are too small to divide a product.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        low_precision: bool = False,
        row_memory: float | None = 0.95,
        threads: int = 1,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self._low_precision = low_precision
        self._row_memory = row_memory
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        if threads > 1:
            self._pool = ThreadPoolExecutor(threads, "muon", lambda: torch.set_num_threads(1))

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Takes one step; see `torch.optim.Optimizer.step`."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            directions: list[Tensor] = []
            buckets: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}
            for parameter in moved:
                update = self._momentum(parameter, group["momentum"])
                directions.append(torch.empty_like(update))
                sizes = list(getattr(parameter, "muon_split", (parameter.shape[0],)))
                for pair in zip(torch.split(update, sizes), torch.split(directions[-1], sizes), strict=True):
                    buckets.setdefault((pair[0].shape[0], pair[0].shape[1]), []).append(pair)
            stacks = [torch.stack([piece for piece, _ in pairs]) for pairs in buckets.values()]
            found = self._orthogonalised(stacks)
            for ((rows, columns), pairs), steps in zip(buckets.items(), found, strict=True):
                for (_, place), step in zip(pairs, steps, strict=True):
                    torch.mul(step, math.sqrt(max(1.0, rows / columns)), out=place)
            for parameter, direction in zip(moved, directions, strict=True):
                self._move(parameter, direction, group)
        return loss

    def _orthogonalised(self, stacks: list[Tensor]) -> list[Tensor]:
        """Orthogonalises matrices (N, rows, columns) of several shapes."""
        if self._pool is None:
            return [orthogonalise(stack, self._low_precision) for stack in stacks]
        waiting = [
            [
                self._pool.submit(orthogonalise, part, self._low_precision)
                for part in stack.tensor_split(min(self._threads, len(stack)))
            ]
            for stack in stacks
        ]
        return [torch.cat([task.result() for task in tasks]) for tasks in waiting]

    def _move(self, parameter: Tensor, direction: Tensor, group: dict[str, Any]) -> None:
        """Takes a step in a direction, of which this process has what it has of the parameter."""
        weight = local(parameter)
        weight.mul_(1.0 - group["lr"] * group["weight_decay"])
        if self._row_memory is not None:
            found = direction.square().mean(1, keepdim=True)
            state = self.state[parameter]
            if "row_moment" not in state:
                state["row_moment"] = torch.zeros_like(parameter[:, :1])
                local(state["row_moment"]).copy_(found)
            moment = local(state["row_moment"]).lerp_(found, 1.0 - self._row_memory)
            direction = direction * (moment * direction.shape[1]).add_(1e-8).rsqrt_()
        weight.add_(direction, alpha=-group["lr"])

    def _momentum(self, parameter: nn.Parameter, momentum: float) -> Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer: Tensor = state["momentum_buffer"]
        assert parameter.grad is not None
        buffer.lerp_(parameter.grad, 1.0 - momentum)
        return parameter.grad.lerp(buffer, momentum)


class Optimisable(Protocol):
    """A model that says which of its parameters are hidden matrices."""

    def matrices(self) -> list[nn.Parameter]:
        """Returns the 2-D hidden weights that Muon may optimise."""

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Returns all parameters."""


def build_optimizers(
    model: Optimisable,
    optimizer: str,
    *,
    lr: float,
    muon_lr: float,
    weight_decay: float,
    tables: Sequence[Tensor] = (),
    embedding_decay: float = 0.0,
    low_precision: bool = False,
    divided: bool = False,
    threads: int = 1,
) -> list[torch.optim.Optimizer]:
    """Builds the optimisers of a model.

    Matrices are decayed, and the tables of the vocabulary where that is asked for; vectors (norms, biases) are not.
    Every parameter stands in exactly one group, which is asserted.

    Args:
        model: The model.
        optimizer: `muon` (hidden matrices by Muon, the rest by AdamW), `adamw` or `sgd`.
        lr: Learning rate of AdamW or SGD.
        muon_lr: Learning rate of Muon.
        weight_decay: Decoupled weight decay of the matrices; for SGD an L2 penalty.
        tables: Parameters whose rows are looked up, such as the embedding.
        embedding_decay: Weight decay of these.
        low_precision: Muon iterates in bfloat16; see `orthogonalise`.
        divided: Whether all processes of the world step together and may divide the work.
        threads: Threads that share Muon's work in one process on a CPU.

    Returns:
        One or two optimisers; every group has the key `peak_lr`, from which `set_lr` scales.
    """
    hidden = {id(p): p for p in model.matrices() if p.requires_grad}
    every = {id(p): p for p in model.parameters() if p.requires_grad}
    rest = [p for key, p in every.items() if key not in hidden]
    assert set(hidden) <= set(every), "a matrix for Muon is not a parameter of the model"
    fused = next(iter(every.values())).device.type in ("cpu", "cuda")
    matrices = list(hidden.values())
    decayed = {"params": matrices, "weight_decay": weight_decay}
    looked_up = {id(table) for table in tables} if embedding_decay else set()
    kept = [{"params": [p for p in rest if id(p) not in looked_up], "weight_decay": 0.0}]
    if looked_up:
        kept.append({"params": [p for p in rest if id(p) in looked_up], "weight_decay": embedding_decay})
    optimizers: list[torch.optim.Optimizer]
    if optimizer == "muon":
        optimizers = [
            _muon(divided)(
                [{**decayed, "lr": muon_lr}], low_precision=low_precision, threads=1 if divided else threads
            ),
            AdamW(kept, lr=lr, betas=(0.9, 0.95), eps=1e-10, fused=fused),
        ]
    elif optimizer == "adamw":
        optimizers = [AdamW([decayed, *kept], lr=lr, betas=(0.9, 0.95), fused=fused)]
    elif optimizer == "sgd":
        whole = fused and not hasattr(rest[0], "device_mesh")  # slices have no fused kernel for it
        optimizers = [SGD([decayed, *kept], lr=lr, momentum=0.9, nesterov=True, fused=whole)]
    else:
        raise ValueError(f"unknown optimizer {optimizer!r}")
    grouped = [p for o in optimizers for g in o.param_groups for p in g["params"]]
    assert len(grouped) == len(every) and {id(p) for p in grouped} == set(every)
    for built in optimizers:
        for group in built.param_groups:
            group["peak_lr"] = group["lr"]
    return optimizers


def _muon(divided: bool) -> type[Muon]:
    """The kind of Muon for one process, or for many."""
    if not divided:
        return Muon
    from wenmo.training.divided_muon import DividedMuon

    return DividedMuon


def set_lr(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Sets every learning rate to `factor` times its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor


def lr_factor(schedule: str, progress: float, *, warmup: float, decay: float) -> float:
    """Share of the peak learning rate at a point of the training.

    Args:
        schedule: `wsd` (linear warm-up, constant, linear decay to zero: Hägele et al. 2024), `cosine` (to a tenth),
            or `constant`.
        progress: Share of the training done, 0 to 1.
        warmup: Share of the training spent warming up.
        decay: Share of the training spent decaying (wsd only).
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < warmup:
        return max(progress / warmup, 1e-3)
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        share = (progress - warmup) / max(1.0 - warmup, 1e-9)
        return 0.1 + 0.9 * 0.5 * (1.0 + math.cos(math.pi * share))
    if schedule == "wsd":
        start = max(1.0 - decay, warmup)
        return 1.0 if progress <= start else max((1.0 - progress) / max(1.0 - start, 1e-9), 0.0)
    raise ValueError(f"unknown schedule {schedule!r}")


def prefers_muon(model: NeuralLanguageModel, batch_tokens: int) -> bool:
    """Whether a step is large enough for Muon's iterations to be cheap beside it (see `MUON_TOKENS_PER_SIDE`)."""
    sides = [
        min(size, p.shape[1]) for p in model.matrices() for size in getattr(p, "muon_split", (p.shape[0],))
    ]
    return bool(sides) and batch_tokens >= MUON_TOKENS_PER_SIDE * max(sides)


class WeightAverage:
    """Exponential moving average of a model's weights whose memory is a share of the steps taken.

    After step t the average follows with rate 1 / (1 + share * t), so early weights are forgotten at any length of
    training (the "power" form of Karras et al. 2024).

    Args:
        model: The model that is averaged; its floating-point parameters are copied.
        share: Memory as a share of the steps so far.
    """

    def __init__(self, model: nn.Module, share: float) -> None:
        self.share = share
        self.steps = 0
        self._live: list[Tensor] = list(model.parameters())
        self.weights = [p.detach().clone() for p in self._live]

    @torch.no_grad()
    def update(self) -> None:
        """Moves the average towards the live weights; call once after each step."""
        self.steps += 1
        torch._foreach_lerp_(self.weights, self._live, 1.0 / (1.0 + self.share * self.steps))

    @torch.no_grad()
    def swap(self) -> None:
        """Exchanges the live weights and the average; call twice to restore."""
        for average, live in zip(self.weights, self._live, strict=True):
            kept = live.clone()
            live.copy_(average)
            average.copy_(kept)
