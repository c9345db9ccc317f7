"""How a network learns to classify: first its last layer, then all of it, in a given time.

The last layer is logistic regression on pooled vectors that stay as they are, which needs few examples. Then all layers
are trained, the lower ones more slowly and later (discriminative rates and gradual unfreezing, Howard & Ruder 2018).
What is kept is the average of the weights at the best log-loss on held-out examples, the beginning included.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wenmo.classification.calibration import fit_calibration
from wenmo.classification.encoder import Ids
from wenmo.classification.metrics import log_loss, log_softmax
from wenmo.classification.network import Network
from wenmo.progress import Progress
from wenmo.training.eager import AdamW
from wenmo.training.optimisation import WeightAverage, lr_factor, set_lr

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Inverse penalties tried for the last layer."""
DECAY_BY_DEPTH = 1.6
"""Learning rates fall by this factor from a layer to the one below (Howard & Ruder 2018 take 2.6)."""
UNFROZEN_AFTER = 0.06
"""Share of the training after which the next lower layer begins to learn."""
EVALUATED = 2_000
"""Held-out examples that are looked at during training."""
PATIENCE = 4
TEXTS_IN_STEP = 64
"""Most texts of a step."""
MARGIN = 0.12
"""Share of the time that is kept for the last evaluation."""


@dataclass
class HeadFit:
    """The last layer fitted on fixed vectors.

    Attributes:
        strength: Inverse penalty chosen.
        scores: Scores of the held-out examples, each by a layer that did not see it (H, K).
        unbiased: The same, the penalty of each fold chosen on the others.
    """

    strength: float
    scores: npt.NDArray[np.float64]
    unbiased: npt.NDArray[np.float64]


def fit_head(
    network: Network, pooled: Tensor, labels: npt.NDArray[np.int64], folds: npt.NDArray[np.int64], every: bool
) -> HeadFit:
    """Fits the last layer of `network` on pooled vectors.

    Args:
        network: Its last layer is set.
        pooled: Vectors of all examples (N, size).
        labels: Labels (N,).
        folds: Fold in which each is held out; -1 for never.
        every: Whether the layer that stays is fitted on all examples, or on those of the folds' other side only
            (with one fold).
    """
    from wenmo.classification.fitting import unbiased_scores

    classes = network.head.out_features
    held_out = np.flatnonzero(folds >= 0)
    truth = labels[held_out]
    found: list[npt.NDArray[np.float64]] = []
    losses: list[float] = []
    for strength in STRENGTHS:
        scores = np.zeros((len(labels), classes))
        for fold in range(int(folds.max()) + 1):
            inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            middle, spread = _standard(pooled[inside])
            weight, bias = _logistic((pooled[inside] - middle) / spread, labels[inside], classes, strength)
            scores[outside] = (((pooled[outside] - middle) / spread) @ weight.T + bias).double().numpy()
        found.append(scores[held_out])
        losses.append(log_loss(fit_calibration(found[-1], truth).log_probs(found[-1]), truth))
        if len(losses) > 1 and losses[-1] > losses[-2]:
            break
    best = int(np.argmin(losses))
    rows = np.arange(len(labels)) if every else np.flatnonzero(folds < 0)
    middle, spread = _standard(pooled[rows])
    weight, bias = _logistic((pooled[rows] - middle) / spread, labels[rows], classes, STRENGTHS[best])
    with torch.no_grad():
        network.get_buffer("middle").copy_(middle)
        network.get_buffer("spread").copy_(spread)
        network.head.weight.copy_(weight)
        network.head.bias.copy_(bias)
    return HeadFit(STRENGTHS[best], found[best], unbiased_scores(found, truth, folds[held_out]))


def _standard(pooled: Tensor) -> tuple[Tensor, Tensor]:
    return pooled.mean(dim=0), pooled.std(dim=0, correction=0).clamp_min(1e-4)


def _logistic(
    x: Tensor, labels: npt.NDArray[np.int64], classes: int, strength: float
) -> tuple[Tensor, Tensor]:
    """Multinomial logistic regression by L-BFGS: mean log-loss + |W|^2 / (2 strength N)."""
    weight = torch.zeros(classes, x.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    target = torch.from_numpy(labels)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=60, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(x @ weight.T + bias, target)
        loss = loss + weight.square().sum() / (2 * strength * len(x))
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()


def train_network(
    network: Network,
    ids: Sequence[Ids],
    labels: npt.NDArray[np.int64],
    held_ids: Sequence[Ids],
    held_labels: npt.NDArray[np.int64],
    *,
    seconds: float,
    lr: float,
    passes: float,
    batch_tokens: int = 4_096,
    seed: int = 0,
    bar: Progress | None = None,
) -> list[float]:
    """Trains all layers; leaves the best weights in `network`.

    Args:
        network: The network; its last layer may be fitted already.
        ids: Texts to learn from.
        labels: Their labels.
        held_ids: Held-out texts that decide when to stop; without any, the average after the last step is kept.
        held_labels: Their labels.
        seconds: Time, evaluations included.
        lr: Learning rate of the last layers.
        passes: Most passes over the texts.
        batch_tokens: Tokens of a step, padding included.
        seed: Of order and dropout.
        bar: Progress, in seconds.

    Returns:
        Log-loss on the held-out examples at each evaluation, the first before any step.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    started = time.monotonic()
    some = random.permutation(len(held_ids))[:EVALUATED]
    average = WeightAverage(network, 0.05)
    best = _Best(network, [held_ids[i] for i in some], held_labels[some], average)
    depths = [list(network.head.parameters()), *network.encoder.depths()]
    rates = [lr / DECAY_BY_DEPTH ** max(depth - 1, 0) for depth in range(len(depths))]
    groups = [
        {"params": group, "lr": rate, "peak_lr": rate} for group, rate in zip(depths, rates, strict=True)
    ]
    optimizer = AdamW(groups, lr=lr, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    network.train()
    done, total = 0.0, passes * len(ids)
    gap = next_look = max(0.5 * len(ids), 1.0)
    looked = time.monotonic()
    order: list[npt.NDArray[np.int64]] = []
    while best.worse < PATIENCE:
        spent = time.monotonic() - started + best.cost
        progress = max(spent / (seconds * (1 - MARGIN)), done / total)
        if progress >= 1.0:
            break
        if not order:
            order = _shuffled(ids, batch_tokens, random)
        rows = order.pop()
        for depth, group in enumerate(depths):
            learns = len(depths) == 2 or progress >= UNFROZEN_AFTER * max(depth - 1, 0)
            for parameter in group:
                parameter.requires_grad_(learns)
        set_lr([optimizer], lr_factor("wsd", progress, warmup=0.1, decay=0.9))
        scores = network([ids[row] for row in rows])
        loss = torch.nn.functional.cross_entropy(scores, torch.from_numpy(labels[rows]))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        average.update()
        done += len(rows)
        if bar is not None:
            note = f"held-out log-loss {min(best.losses):.4f}" if best.losses else ""
            bar.update(min(time.monotonic() - started, seconds), note)
        # Looking must not cost more than a seventh of the time.
        if done >= next_look and time.monotonic() - looked > 6 * best.cost:
            next_look = done + gap
            best.look()
            looked = time.monotonic()
    best.look()
    best.restore()
    return best.losses


class _Best:
    """The best weights so far, by the log-loss on held-out texts.

    Attributes:
        losses: Log-loss at each look.
        worse: Looks since the best one.
        cost: Seconds of the first look.
    """

    def __init__(
        self, network: Network, ids: Sequence[Ids], labels: npt.NDArray[np.int64], average: WeightAverage
    ) -> None:
        self._network, self._ids, self._labels, self._average = network, ids, labels, average
        self.losses: list[float] = []
        self.worse = 0
        self.weights = [p.detach().clone() for p in network.parameters()]
        begun = time.monotonic()
        if ids:
            self.losses.append(self._loss())
        self.cost = time.monotonic() - begun

    def _loss(self) -> float:
        found = log_loss(log_softmax(self._network.scores_of(self._ids)), self._labels)
        self._network.train()
        return found

    @torch.no_grad()
    def look(self) -> None:
        """Evaluates the average of the weights, and keeps it if it is the best; nothing without held-out texts."""
        if not self.losses:
            return
        self._average.swap()
        self.losses.append(self._loss())
        self.worse += 1
        if self.losses[-1] < min(self.losses[:-1]):
            self.worse = 0
            for kept, parameter in zip(self.weights, self._network.parameters(), strict=True):
                kept.copy_(parameter)
        self._average.swap()

    @torch.no_grad()
    def restore(self) -> None:
        """Puts the best weights (without held-out texts, the average) into the network."""
        weights = self.weights if self.losses else self._average.weights
        for parameter, kept in zip(self._network.parameters(), weights, strict=True):
            parameter.copy_(kept)
            parameter.requires_grad_(True)
        self._network.eval()


def _shuffled(ids: Sequence[Ids], tokens: int, random: np.random.Generator) -> list[npt.NDArray[np.int64]]:
    """Batches of texts of similar length, in random order and differently composed in every pass."""
    shuffled = random.permutation(len(ids))
    noisy = sorted(shuffled, key=lambda i: len(ids[i]) * (1 + 0.2 * random.random()))
    found = [np.asarray(noisy)[rows] for rows in _consecutive([len(ids[i]) + 1 for i in noisy], tokens)]
    return [found[i] for i in random.permutation(len(found))]


def _consecutive(lengths: Sequence[int], tokens: int) -> list[npt.NDArray[np.int64]]:
    found, begin, longest = [], 0, 0
    for end, length in enumerate(lengths):
        longest = max(longest, length)
        if end > begin and (longest * (end + 1 - begin) > tokens or end - begin >= TEXTS_IN_STEP):
            found.append(np.arange(begin, end))
            begin, longest = end, length
    if begin < len(lengths):
        found.append(np.arange(begin, len(lengths)))
    return found
