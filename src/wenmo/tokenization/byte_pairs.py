"""Byte-level BPE of long texts in compiled loops: token for token what the `tokenizers` library makes of them.

Each piece is merged by the rule of Sennrich, Haddow and Birch (2016, https://arxiv.org/abs/1508.07909): the pair that
was learned first, the leftmost of several, until no pair is left that was learned.
"""

# numba has no types, and its integers are of NumPy's kinds.
# mypy: disable-error-code="untyped-decorator,no-any-return,return-value,assignment"

from __future__ import annotations

import json
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import tokenizers

from wenmo.compiled import allocating, inner, outermost

from . import cutting, learning, pieces
from .backend import assemble
from .cutting import cut
from .learning import learn
from .pairs import find_pair
from .pieces import Pieces
from .pretokenization import byte_alphabet

PARTS = {"compiled": "b0595e14fad8", "pairs": "60300ea5709b"}
"""Files of functions that those that are kept are compiled from -> their digests; see `wenmo.compiled`."""

NEVER = np.iinfo(np.int32).max
"""Rank of a pair that is not merged."""
LONG = 256
"""Bytes of a piece from which on a queue finds the next pair sooner than looking at all of them."""


class Merges(NamedTuple):
    """The merges of a BPE as a hash table with open addressing.

    Attributes:
        keys: Pair as left << 32 | right, -1 where a slot is free, int64 (S,), S a power of two.
        ranks: When the pair was learned, int32 (S,).
        results: Id of the token that it becomes, int32 (S,).
        first_use: First rank at which each token is part of a pair, int32 (V,); `NEVER` for none.
        bytes: Id of each byte, int32 (256,).
    """

    keys: npt.NDArray[np.int64]
    ranks: npt.NDArray[np.int32]
    results: npt.NDArray[np.int32]
    first_use: npt.NDArray[np.int32]
    bytes: npt.NDArray[np.int32]

    @classmethod
    def of(cls, pairs: npt.NDArray[np.int64], results: npt.NDArray[np.int64], byte_ids: list[int]) -> Self:
        """Builds the table.

        Args:
            pairs: Left and right id of every merge in the order in which they were learned (M, 2).
            results: Id of the token that each becomes (M,).
            byte_ids: Ids of the bytes 0 to 255.
        """
        size = 1 << max(int(4 * len(pairs)).bit_length(), 4)
        most = int(max([*byte_ids, *results.tolist()]))
        first_use = np.full(most + 1, NEVER, np.int32)
        np.minimum.at(first_use, pairs.ravel(), np.repeat(np.arange(len(pairs), dtype=np.int32), 2))
        keys, ranks, ids = np.full(size, -1, np.int64), np.zeros(size, np.int32), np.zeros(size, np.int32)
        _fill(pairs, results, keys, ranks, ids)
        return cls(keys, ranks, ids, first_use, np.array(byte_ids, np.int32))

    @classmethod
    def read(cls, backend: tokenizers.Tokenizer) -> Self | None:
        """Takes the merges of a BPE of the library; None where it cuts or merges in another way than `encode`."""
        content, plain = (json.loads(each.to_str()) for each in (backend, assemble("bpe")))
        model = content["model"]
        vocabulary, learned = model["vocab"], model["merges"]
        for each in (content, plain):
            del each["added_tokens"], each["model"]["vocab"], each["model"]["merges"]
        if content != plain:
            return None
        named = [merge if isinstance(merge, list) else merge.split(" ") for merge in learned]
        pairs = [(vocabulary[left], vocabulary[right]) for left, right in named]
        results = [vocabulary[left + right] for left, right in named]
        return cls.of(
            np.array(pairs, np.int64).reshape(-1, 2),
            np.array(results, np.int64),
            [vocabulary[character] for character in byte_alphabet()],
        )


def encode(text: str, merges: Merges) -> npt.NDArray[np.int64]:
    """Returns the ids of a text, int64 (T,).

    Raises:
        UnicodeEncodeError: When it holds half of a surrogate pair.
    """
    data = np.frombuffer(text.encode(), np.uint8)
    out = np.empty(len(data), np.int32)
    count = _encode(data, cut(data), *merges, out, np.empty(len(data), np.int32))
    return out[:count].astype(np.int64)


def warm_up() -> int:
    """Uses every compiled loop of this room once; what is kept from before is only loaded.

    Returns:
        How many functions had to be compiled.
    """
    before = _compilations()
    text, byte_ids = "abab cdcd " * 8, list(range(256))
    merges = learn(Pieces.of([text]), byte_ids, 260, 2)
    encode(text, Merges.of(merges[:, :2], merges[:, 2], byte_ids))
    return _compilations() - before


def _compilations() -> int:
    loops = (cutting._cut, pieces._count, learning._learn, _fill, _encode)
    return sum(sum(loop.stats.cache_misses.values()) for loop in loops)


@outermost
def _fill(pairs: Any, results: Any, keys: Any, ranks: Any, ids: Any) -> None:
    for rank in range(len(pairs)):
        key = pairs[rank, 0] << 32 | pairs[rank, 1]
        slot = find_pair(keys, key)
        keys[slot], ranks[slot], ids[slot] = key, rank, results[rank]  # named twice, the last one counts


@outermost
def _encode(
    data: Any, ends: Any, keys: Any, ranks: Any, results: Any, first_use: Any, byte_ids: Any, out: Any,
    pending: Any,
) -> int:  # fmt: skip
    """Writes the ids of a text and returns their number.

    Args:
        data: UTF-8, uint8 (N,).
        ends: From `cut`.
        keys: See `Merges`; so are `ranks`, `results`, `first_use` and `byte_ids`.
        ranks: Of the merges.
        results: Of the merges.
        first_use: Of the tokens.
        byte_ids: Of the bytes.
        out: Receives the ids, int32 (N,).
        pending: Working memory, int32 (N,): rank of the pair that a token of the piece forms with the next.
    """
    place, written = 0, 0
    for end in ends:
        size = end - place
        if size > LONG:
            written += _encode_long(data[place:end], keys, ranks, results, byte_ids, out[written:])
            place = end
            continue
        ids, rank = out[written : written + size], pending[:size]
        for index in range(size):
            ids[index] = byte_ids[data[place + index]]
        for index in range(size - 1):
            slot = find_pair(keys, np.int64(ids[index]) << 32 | np.int64(ids[index + 1]))
            rank[index] = ranks[slot] if keys[slot] != -1 else NEVER
        while size > 1:
            best = NEVER
            for index in range(size - 1):
                best = min(best, rank[index])
            if best == NEVER:
                break
            size = _merge(ids, rank, size, best, keys, ranks, results, first_use)
        written += size
        place = end
    return written


@allocating
def _encode_long(data: Any, keys: Any, ranks: Any, results: Any, byte_ids: Any, out: Any) -> int:
    """The same for one long piece, with a queue of pairs, so that the time grows little faster than the length."""
    size = len(data)
    following = np.arange(1, size + 1)
    before = np.arange(-1, size - 1)
    ids = np.empty(size, np.int64)
    for place in range(size):
        ids[place] = byte_ids[data[place]]
    queue = [np.int64(0) for _ in range(0)]
    for place in range(size - 1):
        slot = find_pair(keys, ids[place] << 32 | ids[place + 1])
        if keys[slot] != -1:
            queue.append(np.int64(ranks[slot]) << 32 | place)
    heapify(queue)
    while len(queue):
        first = heappop(queue)
        place = first & 0xFFFFFFFF
        right = following[place]
        if ids[place] == -1 or right == size:
            continue
        slot = find_pair(keys, ids[place] << 32 | ids[right])
        if keys[slot] == -1 or ranks[slot] != first >> 32:
            continue  # it has changed since
        ids[place], ids[right] = results[slot], -1
        right = following[right]
        following[place] = right
        if right < size:
            before[right] = place
            slot = find_pair(keys, ids[place] << 32 | ids[right])
            if keys[slot] != -1:
                heappush(queue, np.int64(ranks[slot]) << 32 | place)
        left = before[place]
        if left != -1:
            slot = find_pair(keys, ids[left] << 32 | ids[place])
            if keys[slot] != -1:
                heappush(queue, np.int64(ranks[slot]) << 32 | left)
    place, count = 0, 0
    while place < size:
        out[count] = ids[place]
        count += 1
        place = following[place]
    return count


@inner
def _merge(
    ids: Any, rank: Any, size: int, best: int, keys: Any, ranks: Any, results: Any, first_use: Any
) -> int:
    """Merges the pairs of one rank from left to right, in place; returns how many tokens are left.

    Where the new token may be part of a pair that was learned before, which goes first, only one pair is merged.
    """
    read, write, fresh, merging = 0, 0, False, True
    while read < size:
        merged = merging and read < size - 1 and rank[read] == best
        if merged:
            slot = find_pair(keys, np.int64(ids[read]) << 32 | np.int64(ids[read + 1]))
            token = results[slot]
            merging = first_use[token] > best
            behind, step = rank[read + 1], 2
        else:
            token, behind, step = ids[read], rank[read], 1
        if write and (merged or fresh):
            slot = find_pair(keys, np.int64(ids[write - 1]) << 32 | np.int64(token))
            rank[write - 1] = ranks[slot] if keys[slot] != -1 else NEVER
        ids[write] = token
        rank[write] = behind
        fresh = merged
        write += 1
        read += step
    return write
