"""The merges of a byte-level BPE, learned in compiled loops: the same as the `tokenizers` library finds.

The pair of neighbouring tokens that occurs most often becomes a token, again and again (Sennrich, Haddow and Birch
2016, https://arxiv.org/abs/1508.07909); of pairs that occur equally often the one with smaller ids. Only what stands
beside a merged pair is counted anew: each pair has a list of the places where it was formed, and a queue has the
counts, of which those that fell since are mended when they come up.
"""

# numba has no types, and its integers are of NumPy's kinds.
# mypy: disable-error-code="untyped-decorator,no-any-return,return-value,assignment"

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np
import numpy.typing as npt

from wenmo.compiled import allocating, inner, outermost
from wenmo.progress import follow, track

from .hashing import equal_bytes, hash_bytes
from .pairs import find_pair
from .pieces import Pieces

PARTS = {"compiled": "b0595e14fad8", "hashing": "7209a6f5e9f3", "pairs": "60300ea5709b"}
"""Files of functions that those that are kept are compiled from -> their digests; see `wenmo.compiled`."""

LEAST_COUNT = 2
"""A rarer pair does not become a token."""
BITS = 20
"""Of an id. A pair is left << BITS | right."""
LAST, PAIR = (1 << BITS) - 1, (1 << 2 * BITS) - 1
MOST = (1 << 63 - 2 * BITS) - 1
"""Counts beyond this, eight million, are alike."""
PLACES = 2.0
"""Places of pairs that are looked at for each byte of the different pieces, about."""


def learn(
    pieces: Pieces, byte_ids: list[int], vocab_size: int, longest: int, progress: bool = False
) -> npt.NDArray[np.int64]:
    """Learns merges.

    Args:
        pieces: What to learn from.
        byte_ids: Ids of the bytes 0 to 255; the largest is followed by the first new token's.
        vocab_size: Tokens there are to be in the end.
        longest: Most bytes of a token.
        progress: Show a progress line on stderr.

    Returns:
        Left id, right id and id of the result of every merge, in order (M, 3). A result whose bytes another merge has
        made before has that one's id.
    """
    ids, spelled = np.array(byte_ids, np.int32), np.zeros(vocab_size * longest, np.uint8)
    known = np.full(1 << int(2 * vocab_size).bit_length(), -1, np.int32)
    merges, state = np.empty((4 * vocab_size, 3), np.int64), np.zeros(2, np.int64)
    places = PLACES * float(pieces.sizes.sum())
    with track("learning tokens", places, "", progress) as bar:
        found = follow(
            lambda: _learn(
                pieces.data, pieces.starts, pieces.sizes, pieces.counts, ids, int(ids.max()) + 1, vocab_size,
                longest, LEAST_COUNT, spelled, known, merges, state,
            ),
            state,
            bar,
        )  # fmt: skip
        bar.update(places)
    return merges[:found]


@inner
def _entry(number: int, pair: int) -> int:
    """A pair in the queue: the most frequent first, then the smallest."""
    return (MOST - min(number, MOST)) << 2 * BITS | pair


@allocating
def _grown(keys: Any, numbers: Any, lists: Any, room: int) -> Any:
    """The table of pairs with room for more, at most half full."""
    size = len(keys)
    while size < 2 * room:
        size *= 2
    fresh = np.full(size, -1, np.int64), np.zeros(size, np.int64), np.full((size, 4), -1, np.int32)
    for old in range(len(keys)):
        if keys[old] != -1:
            slot = find_pair(fresh[0], keys[old])
            fresh[0][slot], fresh[1][slot] = keys[old], numbers[old]
            fresh[2][slot, 0], fresh[2][slot, 1], fresh[2][slot, 2] = (
                lists[old, 0],
                lists[old, 1],
                lists[old, 2],
            )
    return fresh


@inner
def _add(
    keys: Any, numbers: Any, lists: Any, links: Any, used: int, key: int, weight: int, place: int
) -> tuple[int, bool]:
    """Counts a pair at a place; returns its slot, and whether it is new.

    Args:
        keys: Of the table of pairs.
        numbers: How often each occurs.
        lists: First and last link, number of links, and last merge that added one, of each.
        links: Place and next link of each link.
        used: Links in use.
        key: The pair.
        weight: How often it occurs here.
        place: Where.
    """
    slot = find_pair(keys, key)
    new = keys[slot] == -1
    keys[slot] = key
    numbers[slot] += weight
    links[used, 0], links[used, 1] = place, -1
    if lists[slot, 0] == -1:
        lists[slot, 0], lists[slot, 2] = used, 0
    else:
        links[lists[slot, 1], 1] = used
    lists[slot, 1] = used
    lists[slot, 2] += 1
    return slot, new


@inner
def _take(keys: Any, numbers: Any, key: int, merged: int, weight: int) -> None:
    """Uncounts a pair that is broken up; one that would be too long for a token was never counted."""
    slot = find_pair(keys, key)
    if keys[slot] == key and key != merged:
        numbers[slot] -= weight


@outermost
def _learn(
    data: Any, starts: Any, sizes: Any, counts: Any, byte_ids: Any, first: int, vocab_size: int, longest: int,
    least: int, spelled: Any, known: Any, merges: Any, state: Any
) -> int:  # fmt: skip
    """Writes the merges and returns their number.

    Args:
        data: The text, uint8 (N,).
        starts: Where the different pieces stand in it.
        sizes: Their bytes.
        counts: Their numbers.
        byte_ids: Of the bytes.
        first: Id of the first new token.
        vocab_size: Tokens there are to be in the end, V.
        longest: Most bytes L of a token.
        least: Least number of a pair that becomes a token.
        spelled: Working memory for the bytes of each token, uint8 (V * L,).
        known: Working memory for the tokens by their bytes, filled with -1, a power of two and more than V.
        merges: Receives left, right and result of each merge.
        state: Receives the places of pairs that were looked at; ends early once its second number is not 0; int64 (2,).
    """
    lengths = np.zeros(vocab_size, np.int64)
    for byte in range(256):
        spelled[byte_ids[byte] * longest], lengths[byte_ids[byte]] = byte, 1
    total = sizes.sum()
    symbols, words = np.empty(total, np.int32), np.empty(total, np.int32)
    before, after = np.empty(total, np.int32), np.empty(total, np.int32)
    place = 0
    for word in range(len(starts)):
        for index in range(sizes[word]):
            symbols[place], words[place] = byte_ids[data[starts[word] + index]], word
            before[place] = place - 1 if index else -1
            after[place] = place + 1 if index + 1 < sizes[word] else -1
            place += 1
    # A merge takes one symbol away and forms two pairs at most.
    links, used = np.empty((3 * total + 1, 2), np.int32), 0
    keys, numbers, lists = (
        np.full(1 << 17, -1, np.int64),
        np.zeros(1 << 17, np.int64),
        np.full((1 << 17, 4), -1, np.int32),
    )
    filled = 0
    for place in range(total):
        if after[place] != -1:
            key = np.int64(symbols[place]) << BITS | np.int64(symbols[after[place]])
            _, new = _add(keys, numbers, lists, links, used, key, counts[words[place]], place)
            filled, used = filled + new, used + 1
            state[0] = used
    queue = [_entry(numbers[slot], keys[slot]) for slot in range(len(keys)) if numbers[slot] >= least]
    heapify(queue)
    token, found = first, 0
    while token < vocab_size and found < len(merges) and len(queue) and not state[1]:
        state[0] = used
        entry = heappop(queue)
        key = entry & PAIR
        slot = find_pair(keys, key)
        if entry != _entry(numbers[slot], key):
            if numbers[slot] >= least:
                heappush(queue, _entry(numbers[slot], key))
            continue
        left, right = key >> BITS, key & LAST
        size = lengths[left] + lengths[right]
        for index in range(size):
            from_left = index < lengths[left]
            origin = left * longest + index if from_left else right * longest + index - lengths[left]
            spelled[token * longest + index] = spelled[origin]
        slot = hash_bytes(spelled, token * longest, size) & (len(known) - 1)
        while known[slot] != -1 and not (
            lengths[known[slot]] == size
            and equal_bytes(spelled, known[slot] * longest, token * longest, size)
        ):
            slot = (slot + 1) & (len(known) - 1)
        made = known[slot]
        if made == -1:
            known[slot], made, lengths[token] = token, token, size
            token += 1
        merges[found, 0], merges[found, 1], merges[found, 2] = left, right, made
        found += 1
        slot = find_pair(keys, key)
        places = np.empty(lists[slot, 2], np.int32)
        link = lists[slot, 0]
        for index in range(len(places)):
            places[index], link = links[link, 0], links[link, 1]
        numbers[slot], lists[slot, 0] = 0, -1
        if 2 * (filled + 2 * len(places)) > len(keys):
            keys, numbers, lists = _grown(keys, numbers, lists, filled + 2 * len(places))
        formed = [np.int64(0) for _ in range(0)]
        for start in places:
            place, one = start, before[start]
            if left == right and symbols[place] == left and one != -1 and symbols[one] == left:
                continue  # in a row of equal ones the first two are merged, then the next two
            while True:
                behind, one = after[place], before[place]
                if symbols[place] != left or behind == -1 or symbols[behind] != right:
                    break
                weight, other = counts[words[place]], after[behind]
                if one != -1:
                    _take(keys, numbers, np.int64(symbols[one]) << BITS | left, key, weight)
                if other != -1:
                    _take(keys, numbers, right << BITS | np.int64(symbols[other]), key, weight)
                symbols[place], symbols[behind], after[place] = made, -1, other
                if other != -1:
                    before[other] = place
                for beside in (one, place):
                    follower = after[beside] if beside != -1 else -1
                    if follower == -1 or lengths[symbols[beside]] + lengths[symbols[follower]] > longest:
                        continue
                    pair = np.int64(symbols[beside]) << BITS | np.int64(symbols[follower])
                    slot, new = _add(keys, numbers, lists, links, used, pair, weight, beside)
                    filled, used = filled + new, used + 1
                    if lists[slot, 3] != found:
                        lists[slot, 3] = found
                        formed.append(pair)
                if left != right or other == -1:
                    break
                place = other
        for pair in formed:
            number = numbers[find_pair(keys, pair)]
            if number >= least:
                heappush(queue, _entry(number, pair))
    return found
