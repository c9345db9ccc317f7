"""What a recipe can be given beside its settings, for experiments: noise, other batches, other schedules.

Each is named by a knob of `Knobs`, and off at its default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from wenmo.tokenization.tokenizer import Tokenizer
from wenmo.training.batches import Batch, PackedBatches
from wenmo.training.optimisation import lr_factor


@dataclass(frozen=True)
class Knobs:
    """Parts of a recipe that are no settings."""

    dropped_tokens: float = 0.0
    """Share of the input tokens replaced by others of the text (unigram noising, Xie et al. 2017)."""
    masked_spans: float = 0.0
    """Share of the input tokens that spans of three replaced by the end-of-text token make up."""
    bpe_dropout: float = 0.0
    """Share of the merges left out while the text is cut into tokens anew each epoch (Provilkov et al. 2020)."""
    short_rows: float = 0.0
    """Share of the training in which rows are a quarter as long, and four times as many."""
    layer_drop: float = 0.0
    """Chance that a row skips the last layer's branches, less before it (stochastic depth, Huang et al. 2016)."""
    cycles: float = 1.0
    """Times that the learning rate goes through its schedule (snapshot ensembles, Huang et al. 2017)."""
    snapshots: str = ""
    """Shares of the training, joined by slashes, after which the averaged weights become a member of their own."""


class Changed:
    """Batches whose inputs are changed.

    Args:
        batches: A `BatchSource`.
        knobs: What is done to them.
        ids: Tokens that replaced ones are drawn from.
        eos_id: The token that masks.
        seed: Seed of the noise.
    """

    def __init__(self, batches: Any, knobs: Knobs, ids: np.ndarray, eos_id: int, seed: int) -> None:
        self._batches, self._knobs, self._ids, self._eos = batches, knobs, torch.from_numpy(ids), eos_id
        self._generator = torch.Generator().manual_seed(seed)
        self.done = 0.0

    @property
    def epochs_done(self) -> float:
        """See `BatchSource`."""
        return float(self._batches.epochs_done)

    def next(self) -> Batch:
        """See `BatchSource`."""
        batch, knobs = self._batches.next(), self._knobs
        inputs, targets, weights = batch.inputs, batch.targets, batch.weights
        if knobs.dropped_tokens:
            drawn = self._ids[torch.randint(len(self._ids), inputs.shape, generator=self._generator)]
            hit = torch.rand(inputs.shape, generator=self._generator) < knobs.dropped_tokens
            inputs = torch.where(hit, drawn, inputs)
        if knobs.masked_spans:
            first = torch.rand(inputs.shape, generator=self._generator) < knobs.masked_spans / 3
            hit = first | first.roll(1, 1) | first.roll(2, 1)
            inputs = torch.where(hit, torch.full_like(inputs, self._eos), inputs)
        if self.done < knobs.short_rows:
            shape = (4 * len(inputs), inputs.shape[1] // 4)
            inputs, targets = inputs.reshape(shape), targets.reshape(shape)
            weights = None if weights is None else weights.reshape(shape)
        return Batch(inputs, targets, weights)

    def state(self) -> dict[str, int]:
        """See `BatchSource`."""
        return dict(self._batches.state())


class Recut:
    """Batches of a text that is cut into tokens anew each epoch, with merges left out at random.

    Args:
        text: The text.
        tokenizer: Its tokenizer, of kind bpe.
        share: Share of the merges left out.
        context: Tokens in a row.
        rows: Rows in a batch.
        seed: Seed of the order.
    """

    def __init__(
        self, text: str, tokenizer: Tokenizer, share: float, context: int, rows: int, seed: int
    ) -> None:
        from tokenizers import Tokenizer as Backend

        self._text, self._eos = text, tokenizer.eos_id
        self._backend = Backend.from_str(tokenizer.backend.to_str())
        self._backend.model.dropout = share
        self._context, self._rows, self._seed = context, rows, seed
        self._epoch = 0
        self._inner = self._cut()

    def _cut(self) -> PackedBatches:
        ids = np.array([*self._backend.encode(self._text, add_special_tokens=False).ids, self._eos], np.int64)
        return PackedBatches(
            ids, np.array([0, len(ids)], np.int64), context=self._context, rows=self._rows,
            seed=self._seed + 1000 * self._epoch,
        )  # fmt: skip

    @property
    def epochs_done(self) -> float:
        """See `BatchSource`."""
        return self._epoch + self._inner.epochs_done

    def next(self) -> Batch:
        """See `BatchSource`."""
        if self._inner.epochs_done >= 1.0:
            self._epoch += 1
            self._inner = self._cut()
        return self._inner.next()

    def state(self) -> dict[str, int]:
        """See `BatchSource`."""
        return self._inner.state()


def skip_layers(model: Any, most: float) -> None:
    """Makes rows skip a Transformer's branches at random in training, the last layer's with a chance of `most`."""
    for number, block in enumerate(model.blocks, 1):
        chance = most * number / len(model.blocks)

        def dropped(x: torch.Tensor, block: Any = block, chance: float = chance) -> torch.Tensor:
            if not block.training:
                return x
            kept = torch.rand(len(x), 1, 1) >= chance
            return x * (kept / (1.0 - chance))

        block._drop = dropped


def cyclic(cycles: float) -> Any:
    """A schedule that goes through another one several times."""

    def factor(schedule: str, progress: float, *, warmup: float, decay: float) -> float:
        place = min(progress, 1.0 - 1e-9) * cycles
        return lr_factor(schedule, place - int(place), warmup=warmup, decay=decay)

    return factor
