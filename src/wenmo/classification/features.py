"""Word and character n-grams as sparse counts, each known by a hash of 48 bits.

An n-gram is never stored as a string. Its hash is computed from the hashes of its units, for all texts at once, and
looked up in the sorted table of the hashes that the model knows. With a million n-grams in the table the chance that an
unknown one is taken for a known one is 4e-9, so, unlike with buckets of a few bits, collisions do not matter.
Which words stood behind a hash is read off the text that is being explained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wenmo.classification.units import characters, units
from wenmo.config import Settings

KEY_BITS = 48
Keys = npt.NDArray[np.uint64]
_CHUNK_CHARS = 4_000_000
_LARGEST_TABLE = 12_000_000
_KEPT_NGRAMS = 60_000_000


class NgramSettings(Settings):
    """Which n-grams are counted."""

    words: int = 3
    """Longest sequence of words, numbers and marks; 0 for none."""
    characters: int = 0
    """Longest sequence of characters (white space left out); 0 for none."""
    most: int = 3_000_000
    """Most n-grams in the table; those in the fewest texts go first."""


def _mix(x: Keys) -> Keys:
    """Finaliser of splitmix64 (Steele, Lea & Flood 2014): spreads every bit over the whole number."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _hash(unit: str) -> int:
    return int.from_bytes(
        hashlib.blake2b(unit.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
    )


@dataclass(frozen=True)
class Sequences:
    """The units of several texts in a row.

    Attributes:
        hashes: Hash of every unit, uint64 (N,).
        begins: Where each text begins in `hashes`, int64 (texts + 1,).
    """

    hashes: Keys
    begins: npt.NDArray[np.int64]


def word_sequences(texts: Sequence[str]) -> Sequences:
    """Hashes the words, numbers and marks of `texts`."""
    number: dict[str, int] = {}
    ids: list[int] = []
    begins = np.zeros(len(texts) + 1, np.int64)
    for index, text in enumerate(texts):
        ids.extend([number.setdefault(unit, len(number)) for unit in units(text)[0]])
        begins[index + 1] = len(ids)
    table = np.array([_hash(unit) for unit in number], np.uint64)
    return Sequences(table[np.array(ids, np.int64)] if ids else np.zeros(0, np.uint64), begins)


def character_sequences(texts: Sequence[str]) -> Sequences:
    """Hashes the characters of `texts`."""
    parts = [characters(text)[0] for text in texts]
    begins = np.cumsum([0, *(len(part) for part in parts)]).astype(np.int64)
    codes = np.concatenate(parts) if parts else np.zeros(0, np.uint32)
    return Sequences(_mix(codes.astype(np.uint64) + np.uint64(1)), begins)


def ngram_keys(
    sequences: Sequences, longest: int, kind: int
) -> Iterator[tuple[int, Keys, npt.NDArray[np.int64]]]:
    """Yields the n-grams of each length.

    Args:
        sequences: Units of the texts.
        longest: Longest n-gram.
        kind: Keeps the hashes of words apart from those of characters.

    Yields:
        The length n, the keys (N,), below 2**48, and the positions of their first units (N,). An n-gram never
        reaches over the end of a text.
    """
    total = len(sequences.hashes)
    ends = np.repeat(sequences.begins[1:], np.diff(sequences.begins))
    running = np.full(total, np.uint64(kind), np.uint64)
    for n in range(1, longest + 1):
        if total < n:
            return
        with np.errstate(over="ignore"):
            running = _mix(
                running[: total - n + 1] * np.uint64(0x9E3779B97F4A7C15) + sequences.hashes[n - 1 :]
            )
        positions = np.flatnonzero(np.arange(len(running)) + n <= ends[: len(running)])
        yield n, running[positions] >> np.uint64(64 - KEY_BITS), positions


def kinds(settings: NgramSettings) -> list[tuple[int, int]]:
    """Returns (kind, longest) for what is counted: kind 1 are words, kind 2 characters."""
    return [(kind, longest) for kind, longest in ((1, settings.words), (2, settings.characters)) if longest]


def sequences_of(texts: Sequence[str], kind: int) -> Sequences:
    """Units of one kind."""
    return word_sequences(texts) if kind == 1 else character_sequences(texts)


Chunk = tuple[Keys, npt.NDArray[np.int64], int]
"""Keys of the n-grams of some texts, the text (within the chunk) of each, and the number of texts."""


class Chunks:
    """The n-grams of many texts, chunk by chunk; kept in memory when they are few, else read again each time.

    Args:
        texts: Texts.
        settings: Which n-grams.
    """

    def __init__(self, texts: Sequence[str], settings: NgramSettings) -> None:
        self.texts = texts
        self.settings = settings
        self._kept: list[Chunk] | None = None

    def __iter__(self) -> Iterator[Chunk]:
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[Chunk] | None = []
        size = 0
        for chunk in _chunks(self.texts):
            found = _read(chunk, self.settings)
            size += len(found[0])
            if kept is not None:
                kept = [*kept, found] if size <= _KEPT_NGRAMS else None
            yield found
        self._kept = kept


def _read(texts: Sequence[str], settings: NgramSettings) -> Chunk:
    keys: list[Keys] = [np.zeros(0, np.uint64)]
    rows: list[npt.NDArray[np.int64]] = [np.zeros(0, np.int64)]
    for kind, longest in kinds(settings):
        sequences = sequences_of(texts, kind)
        owner = np.repeat(np.arange(len(texts)), np.diff(sequences.begins))
        for _, found, positions in ngram_keys(sequences, longest, kind):
            keys.append(found)
            rows.append(owner[positions])
    return np.concatenate(keys), np.concatenate(rows), len(texts)


class Counter:
    """Counts n-grams of many texts in bounded memory.

    Args:
        settings: Which n-grams.
    """

    def __init__(self, settings: NgramSettings) -> None:
        self.settings = settings

    def read(self, texts: Sequence[str]) -> Chunks:
        """The n-grams of texts, to be gone through as often as needed."""
        return Chunks(texts, self.settings)

    def table(self, chunks: Chunks, min_texts: int) -> Keys:
        """Returns the sorted keys that stand in at least `min_texts` texts, at most `settings.most`."""
        known = np.zeros(0, np.uint64)
        counts = np.zeros(0, np.int64)
        for keys, rows, size in chunks:
            # One entry for each pair of n-gram and text.
            order = np.lexsort((rows, keys)) if size > 1 else np.argsort(keys)
            keys, rows = keys[order], rows[order]
            fresh = np.ones(len(keys), bool)
            fresh[1:] = (keys[1:] != keys[:-1]) | (rows[1:] != rows[:-1])
            unique, found = np.unique(keys[fresh], return_counts=True)
            merged = np.concatenate([known, unique])
            known, inverse = np.unique(merged, return_inverse=True)
            counts = np.bincount(inverse, np.concatenate([counts, found]), minlength=len(known)).astype(
                np.int64
            )
            if len(known) > _LARGEST_TABLE:
                known, counts = known[counts > 1], counts[counts > 1]
        kept = counts >= min_texts
        known, counts = known[kept], counts[kept]
        if len(known) > self.settings.most:
            chosen = np.sort(np.argsort(-counts, kind="stable")[: self.settings.most])
            known = known[chosen]
        return known


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    begin, size = 0, 0
    for index, text in enumerate(texts):
        size += len(text)
        if size >= _CHUNK_CHARS:
            yield texts[begin : index + 1]
            begin, size = index + 1, 0
    if begin < len(texts):
        yield texts[begin:]


def lookup(keys: Keys, table: Keys) -> npt.NDArray[np.int64]:
    """Returns the column of every key in the sorted `table`, -1 where it is not there."""
    if not len(table):
        return np.full(len(keys), -1, np.int64)
    columns = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    return np.where(table[columns] == keys, columns, -1)


def matrix(chunks: Chunks, table: Keys) -> Any:
    """Counts of the known n-grams: scipy CSR, float32 (texts, len(table))."""
    import scipy.sparse as sp

    blocks = []
    for keys, rows, size in chunks:
        columns = lookup(keys, table)
        known = columns >= 0
        ones = np.ones(int(known.sum()), np.float32)
        blocks.append(sp.csr_matrix((ones, (rows[known], columns[known])), shape=(size, len(table))))
    if not blocks:
        return sp.csr_matrix((0, len(table)), dtype=np.float32)
    return sp.vstack(blocks, format="csr")
