"""Rank of words by the graph of their neighbourhood in a document."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DAMPING = 0.85
STEPS = 30


def position_rank(keys: Sequence[str], *, window: int = 4) -> dict[str, float]:
    """Ranks words by a random walk over words that stand near each other and restarts at early words.

    PositionRank (Florescu and Caragea 2017), which is TextRank (Mihalcea and Tarau 2004) with a restart in proportion
    to the sum of 1/position of a word.

    Args:
        keys: Content words in the order of the text.
        window: Words that count as near: those less than this many places apart.

    Returns:
        Word -> rank; the mean is 1.
    """
    if not keys:
        return {}
    index = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    sequence = np.array([index[key] for key in keys], np.int64)
    size = len(index)
    pairs = [
        np.stack([sequence[:-distance], sequence[distance:]])
        for distance in range(1, min(window, len(sequence)))
    ]
    both = (
        np.concatenate([*pairs, *(pair[::-1] for pair in pairs)], axis=1)
        if pairs
        else np.zeros((2, 0), np.int64)
    )
    source, target = both[:, both[0] != both[1]]
    degree = np.maximum(np.bincount(source, minlength=size), 1)
    restart = np.bincount(sequence, weights=1 / np.arange(1, len(sequence) + 1), minlength=size)
    restart = restart / restart.sum()
    rank = restart.copy()
    for _ in range(STEPS):
        rank = (1 - DAMPING) * restart + DAMPING * np.bincount(
            target, weights=(rank / degree)[source], minlength=size
        )
        rank = rank / rank.sum()
    return {key: float(rank[number] * size) for key, number in index.items()}
