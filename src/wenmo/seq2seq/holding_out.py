"""What is held out of sentence pairs: no sentence of either side ever stands on two sides of a split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wenmo.examples import split_groups
from wenmo.seq2seq.pairs import Pair

MOST = 1000
"""Pairs held out for each purpose: more would only make scoring slower."""


@dataclass(frozen=True)
class HeldOut:
    """Pairs on each side of a split.

    Attributes:
        train: To learn from.
        valid: To steer by.
        test: For the score.
        dropped: Reason -> training pairs left out because a held-out pair holds the same sentence.
    """

    train: list[Pair]
    valid: list[Pair]
    test: list[Pair]
    dropped: Counter[str]


def sentence_groups(pairs: Sequence[Pair]) -> list[int]:
    """Returns a group for each pair: pairs that share a source or a target, directly or through others, are one."""
    parent = list(range(len(pairs)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[tuple[bool, str], int] = {}
    for number, pair in enumerate(pairs):
        for key in ((False, pair.source.casefold()), (True, pair.target.casefold())):
            other = root(first.setdefault(key, number))
            parent[root(number)] = other
    return [root(index) for index in range(len(pairs))]


def hold_out(
    pairs: Sequence[Pair],
    *,
    valid: Sequence[Pair] = (),
    test: Sequence[Pair] = (),
    valid_share: float,
    test_share: float,
    seed: int,
) -> HeldOut:
    """Splits pairs, at most `MOST` on each held-out side.

    Args:
        pairs: All pairs.
        valid: Pairs to steer by that are given; nothing is held out for it then.
        test: Pairs for the score that are given.
        valid_share: Share held out to steer by.
        test_share: Share held out for the score.
        seed: Seed of the choice.
    """
    given = _sentences([*valid, *test])
    rest = [p for p in pairs if not _keys(p) & given]
    dropped: Counter[str] = Counter()
    if len(rest) < len(pairs):
        dropped["a sentence of the held-out files"] = len(pairs) - len(rest)
    # A group is often named by its first pair's sentence, so that an added pair moves few others.
    groups = [rest[root].source for root in sentence_groups(rest)]
    count = max(len(rest), 1)
    split = split_groups(
        groups,
        valid=0.0 if valid else min(valid_share, MOST / count),
        test=0.0 if test else min(test_share, MOST / count),
        seed=seed,
    )
    return HeldOut(
        [rest[i] for i in split.train],
        list(valid) or [rest[i] for i in split.valid],
        list(test) or [rest[i] for i in split.test],
        dropped,
    )


def _keys(pair: Pair) -> set[tuple[bool, str]]:
    return {(False, pair.source.casefold()), (True, pair.target.casefold())}


def _sentences(pairs: Iterable[Pair]) -> set[tuple[bool, str]]:
    return {key for pair in pairs for key in _keys(pair)}


def by_source(pairs: Sequence[Pair], backward: bool) -> tuple[list[str], list[list[str]]]:
    """Returns the different texts to translate, and all right translations of each."""
    references: dict[str, list[str]] = {}
    for pair in pairs:
        text, translation = (pair.target, pair.source) if backward else (pair.source, pair.target)
        references.setdefault(text, []).append(translation)
    return list(references), list(references.values())
