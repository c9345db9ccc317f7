"""Penalties on repetition: repeat, presence and frequency penalties, and DRY ("don't repeat yourself")."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Logits = npt.NDArray[np.float32]

_LARGEST_EXPONENT = math.log(np.finfo(np.float32).max) - 1


def recent(history: Ids, last_n: int) -> Ids:
    """Returns the last n ids; all for -1, none for 0."""
    return history if last_n < 0 else history[max(len(history) - last_n, 0) :]


def penalties(
    ids: Ids, logits: Logits, history: Ids, last_n: int, repeat: float, presence: float, frequency: float
) -> Logits:
    """Lowers the logits of tokens already used.

    A positive logit is divided by `repeat` and a negative one multiplied (Keskar et al. 2019); `presence` is
    subtracted once and `frequency` once for each use.

    Args:
        ids: Candidates, (K,).
        logits: Their logits, (K,).
        history: Ids of the text so far.
        last_n: How many of them count; -1 all.
        repeat: Factor; 1 is off.
        presence: Subtrahend; 0 is off.
        frequency: Subtrahend; 0 is off.

    Returns:
        New logits, (K,).
    """
    used, counts = np.unique(recent(history, last_n), return_counts=True)
    if not len(used):
        return logits
    place = np.minimum(np.searchsorted(used, ids), len(used) - 1)
    times = np.where(used[place] == ids, counts[place], 0)
    repeated = np.where(logits > 0, logits / repeat, logits * repeat) - presence - frequency * times
    return np.where(times > 0, repeated, logits).astype(np.float32)


def dry(
    ids: Ids,
    logits: Logits,
    history: Ids,
    token_bytes: Sequence[bytes],
    multiplier: float,
    base: float,
    allowed_length: int,
    last_n: int,
    breakers: Sequence[bytes],
) -> Logits:
    """Lowers the logits of tokens that would continue a sequence the text already contains.

    When the last L tokens of the text occurred before and were followed by token t, t loses
    `multiplier * base ** (L - allowed_length)` for the longest such L >= allowed_length. L never reaches
    across a sequence breaker.

    Args:
        ids: Candidates, (K,).
        logits: Their logits, (K,).
        history: Ids of the text so far.
        token_bytes: Bytes of every token id.
        multiplier: Strength.
        base: Growth with L.
        allowed_length: Shortest L that is penalised.
        last_n: How many tokens of the history count; -1 all.
        breakers: UTF-8 bytes of the sequence breakers.

    Returns:
        New logits, (K,).
    """
    text = recent(history, last_n)
    if len(text) <= allowed_length:
        return logits
    ends, lengths = repeated_ends(text)
    longest = int(lengths.max(initial=0))
    if longest < max(allowed_length, 1):
        return logits
    limit = tokens_since_breaker(text, longest, token_bytes, breakers)
    lengths = np.minimum(lengths, limit)
    counted = lengths >= max(allowed_length, 1)
    if not counted.any():
        return logits
    longest_of = np.zeros(int(text.max()) + 1, dtype=np.int64)
    np.maximum.at(longest_of, text[ends[counted] + 1], lengths[counted])
    length = np.where(ids < len(longest_of), longest_of[np.minimum(ids, len(longest_of) - 1)], 0)
    exponent = (length - allowed_length).astype(np.float64)
    if base > 1:
        exponent = np.minimum(exponent, _LARGEST_EXPONENT / math.log(base))
    penalty = np.where(length > 0, multiplier * np.power(base, np.maximum(exponent, 0)), 0)
    return np.asarray(np.maximum(logits - penalty, np.finfo(np.float32).min), dtype=np.float32)


def repeated_ends(text: Ids) -> tuple[Ids, Ids]:
    """Finds where the end of the text occurred before.

    Args:
        text: Ids, (N,).

    Returns:
        Places i < N - 1 with text[i] == text[-1], and for each how many tokens up to i equal the last ones.
    """
    last = len(text) - 1
    ends = np.flatnonzero(text[:last] == text[last]).astype(np.int64)
    lengths = np.ones(len(ends), dtype=np.int64)
    alive = np.arange(len(ends))
    length = 1
    while len(alive):
        alive = alive[ends[alive] >= length]
        alive = alive[text[ends[alive] - length] == text[last - length]]
        length += 1
        lengths[alive] = length
    return ends, lengths


def tokens_since_breaker(
    text: Ids, most: int, token_bytes: Sequence[bytes], breakers: Sequence[bytes]
) -> int:
    """Returns how many tokens follow the one in which the last sequence breaker ends, at most `most`."""
    wanted = [breaker for breaker in breakers if breaker]
    pieces = [token_bytes[token] for token in text[len(text) - most :].tolist()]
    missing = max(map(len, wanted), default=1) - 1
    for token in text[: len(text) - most][::-1].tolist():  # a breaker may begin before the tokens asked about
        if missing <= 0:
            break
        pieces.insert(0, token_bytes[token])
        missing -= len(pieces[0])
    joined = b"".join(pieces)
    end = max((place + len(b) for b in wanted if (place := joined.rfind(b)) >= 0), default=0)
    starts = np.cumsum([0, *map(len, pieces)])[:-1]
    return min(int(np.sum(starts >= end)), most)
