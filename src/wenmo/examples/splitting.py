"""What is held out of labelled examples: whole groups (the same text never stands on two sides), each label alike."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Split:
    """Positions of the examples on each side, in order.

    Attributes:
        train: To learn from.
        valid: To steer by.
        test: For the final score.
    """

    train: list[int]
    valid: list[int]
    test: list[int]


def split_groups(
    groups: Sequence[Hashable],
    *,
    valid: float,
    test: float,
    seed: int = 0,
    strata: Sequence[Hashable] | None = None,
) -> Split:
    """Splits examples by group.

    Groups of a stratum are shuffled by the seed and the hash of their key alone, so that an added example moves few
    others, and the shares hold within one group in every stratum.

    Args:
        groups: Key of each example; examples with one key stay together (such as the text, or the article).
        valid: Share held out to steer by, 0 <= valid < 1.
        test: Share held out for the score, 0 <= test < 1.
        seed: Seed of the order.
        strata: Label of each example, whose shares are kept; a group counts with the label of its first example.

    Raises:
        ValueError: When the shares leave nothing to learn from.
    """
    if valid < 0 or test < 0 or valid + test >= 1:
        raise ValueError("the shares held out must leave something to learn from")
    members: dict[Hashable, list[int]] = defaultdict(list)
    for position, key in enumerate(groups):
        members[key].append(position)
    by_stratum: dict[Hashable, list[Hashable]] = defaultdict(list)
    for key, positions in members.items():
        by_stratum["" if strata is None else strata[positions[0]]].append(key)
    sides: dict[str, list[int]] = {"train": [], "valid": [], "test": []}
    for keys in by_stratum.values():
        keys.sort(key=lambda key: _rank(key, seed))
        total = sum(len(members[key]) for key in keys)
        wanted = {"test": test * total, "valid": valid * total}
        filled = dict.fromkeys(wanted, 0)
        for key in keys:
            count = len(members[key])
            side = next(
                (name for name in wanted if filled[name] + count / 2 <= wanted[name] and wanted[name]),
                "train",
            )
            if side != "train":
                filled[side] += count
            sides[side].extend(members[key])
    return Split(sorted(sides["train"]), sorted(sides["valid"]), sorted(sides["test"]))


def _rank(key: Hashable, seed: int) -> tuple[float, str]:
    digest = hashlib.blake2b(repr(key).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return random.Random(f"{seed}-{digest}").random(), digest
