"""What an n-gram model says of text that it has not counted, for every token of its own training text.

An n-gram model remembers what it has counted, and is far too sure of it. So the text is cut into folds; for each of
them a new model counts the others and then reads the fold as a compressor does: it predicts each token before it
learns from it. Every prediction is as honest as one of new text, and is made from nearly all of the text
(cross-fitting; Stone, "Cross-validatory choice and assessment of statistical predictions", 1974).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wenmo.distillation.targets import Targets
from wenmo.models.ngram import NgramConfig, NgramModel
from wenmo.progress import Progress

BLOCK, LEAST_BLOCK = 4096, 64
"""Most and fewest tokens that are counted, predicted or left out together: a fold has four blocks where it can."""
BEFORE = 32
"""Tokens before a block that are read, so that its first ones are not predicted from nothing."""
SHARE = 0.99
"""The likeliest tokens are named until they have this much of the probability, or the places are full."""

Block = tuple[int, int]
"""Start and end in the token stream."""


@dataclass(frozen=True)
class Selection:
    """Which parts of a text are read, in the order of reading.

    Attributes:
        counted: Blocks that the n-gram model learns from.
        taught: Blocks of them that targets are made for.
    """

    counted: tuple[Block, ...]
    taught: frozenset[Block]

    @property
    def counted_tokens(self) -> int:
        """Tokens counted."""
        return sum(end - start for start, end in self.counted)

    @property
    def taught_tokens(self) -> int:
        """Tokens that targets are made for."""
        return sum(end - start for start, end in self.taught)


def select(length: int, documents: int, counted: float, taught: float, folds: int, seed: int) -> Selection:
    """Chooses blocks from all over a text.

    A single document is read as it runs; several are read in random order, since what is read last would count most.

    Args:
        length: Tokens of the text.
        documents: How many documents it holds.
        counted: Most tokens to count.
        taught: Most tokens to make targets for; at least one block of each is chosen.
        folds: Folds that the blocks must do for.
        seed: Of the order.
    """
    size = min(max(length // (4 * folds), LEAST_BLOCK), BLOCK)
    blocks = [(start, min(start + size, length)) for start in range(0, length, size)]
    if documents > 1:
        blocks = [blocks[place] for place in np.random.default_rng(seed).permutation(len(blocks))]
    read = _spread(blocks, counted / size)
    return Selection(tuple(read), frozenset(_spread(read, taught / size)))


def _spread(blocks: Sequence[Block], count: float) -> list[Block]:
    """At most `count` blocks at equal distances, at least one."""
    kept = min(max(math.ceil(min(count, len(blocks))), 1), len(blocks))
    return [blocks[place] for place in np.linspace(0, len(blocks) - 1, kept).round().astype(int)]


def folds_of(selection: Selection, folds: int) -> Iterator[tuple[list[Block], list[Block]]]:
    """Yields for each fold the blocks to count, ending with what stands before the fold, and the fold itself."""
    blocks = list(selection.counted)
    cuts = np.linspace(0, len(blocks), min(folds, len(blocks)) + 1).astype(int)
    for low, high in itertools.pairwise(cuts):
        yield blocks[high:] + blocks[:low], blocks[low:high]


def foretell_fold(
    config: NgramConfig,
    ids: npt.NDArray[np.integer],
    token_bytes: list[bytes],
    counted: list[Block],
    fold: list[Block],
    taught: frozenset[Block],
    targets: Targets,
    known: npt.NDArray[np.uint8],
    eos_id: int,
    progress: Progress | None = None,
) -> None:
    """Writes what a model that has counted the other blocks expects at every place of a fold.

    Args:
        config: Shape of the n-gram model.
        ids: The token stream (N,).
        token_bytes: Bytes of each token.
        counted: Blocks to count first.
        fold: Blocks to predict, each token before it is learned from.
        taught: Blocks whose targets are wanted; the others of the fold are only counted.
        targets: Receives the likeliest tokens.
        known: Receives how many contexts were known before each token (N,).
        eos_id: The end-of-text token.
        progress: Told of every token read.
    """
    model = NgramModel(config)
    if not counted:
        # A text of a single block: a model that has seen no more than the end of a document.
        counted_ids = np.full(1, eos_id, np.int64)
    else:
        counted_ids = np.concatenate([np.asarray(ids[start:end], np.int64) for start, end in counted])
    model.fit(counted_ids, token_bytes, progress=progress)
    for start, end in fold:
        tokens = np.asarray(ids[start:end], np.int64)
        if (start, end) not in taught:
            model.learn(tokens, eos_id)
            if progress is not None:
                progress.advance(len(tokens))
            continue
        top = np.zeros((len(tokens), targets.top.shape[1]), np.int32)
        probabilities = np.zeros(top.shape, np.float32)
        before = np.append(eos_id, np.asarray(ids[max(start - BEFORE, 0) : start], np.int64))
        _, contexts = model.foretell(
            tokens, top, probabilities, share=SHARE, before=before, progress=progress
        )
        targets.write(start, top, probabilities)
        known[start:end] = contexts
