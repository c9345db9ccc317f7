"""Which documents are for training, which are held out, and where a long one is cut.

Short documents are split whole, drawn by a hash of their text and the seed, so that a document keeps its
side when others come or go. A long document (a novel) would upset the shares if it were drawn whole; it is
cut into three consecutive stretches, the first for training, then valid, then test, so every long document
is represented in each part. One single document is always cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from wenmo.config import CorpusSettings
from wenmo.errors import InputError, OptionError

SPLITS = ("train", "valid", "test")
CUT = 3
MIN_CHARS = 200
FEW_DOCUMENTS = 20
LONG_BYTES = 10_000
LONG_BYTES_OF_FEW = 1_000


def _keys(digests: npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.uint64]:
    """Random-looking order of the documents: splitmix64 of digest and seed."""
    golden = 0x9E3779B97F4A7C15
    with np.errstate(over="ignore"):
        z = digests + np.uint64(((seed + 1) * golden) & 0xFFFFFFFFFFFFFFFF)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def _take(running: npt.NDArray[np.int64], target: float, least: int) -> int:
    """How many documents bring the running total nearest to `target`."""
    position = int(np.searchsorted(running, target))
    before = running[position - 1] if position else 0
    if position < len(running) and running[position] - target < target - before:
        position += 1
    return max(position, least)


def check_settings(settings: CorpusSettings) -> None:
    """Refuses held-out shares that leave nothing to train on, or have no effect.

    Raises:
        OptionError: When they sum to more than 0.9, or there are files for a split whose share is given.
    """
    for split in SPLITS[1:]:
        usual = CorpusSettings.model_fields[f"{split}_fraction"].default
        if getattr(settings, split) and getattr(settings, f"{split}_fraction") not in (usual, 0.0):
            raise OptionError(
                f"--corpus.{split}-fraction has no effect with --corpus.{split}, whose files are held out whole; "
                "leave one of them out"
            )
    if settings.valid_fraction + settings.test_fraction > 0.9:
        raise OptionError(
            "--corpus.valid-fraction and --corpus.test-fraction leave less than a tenth to train on; lower them"
        )


def drawn(settings: CorpusSettings) -> CorpusSettings:
    """The settings with no share for a split that the user gives files for."""
    given = {f"{split}_fraction": 0.0 for split in ("valid", "test") if getattr(settings, split)}
    return settings.model_copy(update=given)


def assign(
    sizes: npt.NDArray[np.int64], digests: npt.NDArray[np.uint64], chars: int, settings: CorpusSettings
) -> npt.NDArray[np.int8]:
    """Assigns every document to a split.

    Args:
        sizes: UTF-8 bytes of each document, int64 (D,).
        digests: Hash of each document's text, uint64 (D,).
        chars: Characters of all documents.
        settings: Shares and seed.

    Returns:
        int8 (D,): positions in `SPLITS`, or `CUT` for a document that is cut into stretches.

    Raises:
        InputError: When there is too little text to hold any of it out.
    """
    shares = (settings.valid_fraction, settings.test_fraction)
    result = np.zeros(len(sizes), np.int8)
    if not any(shares):
        return result
    if chars < MIN_CHARS:
        raise InputError(
            f"too little text: {chars} characters after cleaning, {MIN_CHARS} are needed to hold out a part; "
            "add text"
        )
    total = int(sizes.sum())
    smallest = min(share for share in shares if share)
    floor = LONG_BYTES_OF_FEW if len(sizes) < FEW_DOCUMENTS else LONG_BYTES
    long = sizes >= max(smallest * total / 4, floor)
    if not long.any() and len(sizes) < 1 + sum(1 for share in shares if share):
        long[:] = True
    result[long] = CUT
    whole = np.flatnonzero(~long)
    order = whole[np.argsort(_keys(digests[whole], settings.seed), kind="stable")]
    least = 0 if long.any() else 1
    available = int(sizes[whole].sum())
    drawn = [(position, share) for position, share in ((2, shares[1]), (1, shares[0])) if share]
    for left, (position, share) in zip((len(drawn), 1), drawn, strict=False):
        number = min(
            _take(np.cumsum(sizes[order]), share * available, least), max(len(order) - least * left, 0)
        )
        result[order[:number]] = position
        order = order[number:]
    return result


def cut_targets(size: int, settings: CorpusSettings) -> list[tuple[int, int]]:
    """Where a document of `size` bytes is cut, about: (byte offset, split that ends there), in order."""
    train_end = round(size * (1 - settings.valid_fraction - settings.test_fraction))
    valid_end = round(size * (1 - settings.test_fraction))
    targets = []
    if settings.valid_fraction or settings.test_fraction:
        targets.append((train_end, 0))
    if settings.valid_fraction and settings.test_fraction:
        targets.append((valid_end, 1))
    return targets


def last_split(settings: CorpusSettings) -> int:
    """The split that takes the end of a cut document."""
    return 2 if settings.test_fraction else 1 if settings.valid_fraction else 0


_BOUNDARIES = (
    re.compile(r"\n\n+"),
    re.compile(r"\n"),
    re.compile(r"[。！？!?…]+[”’」』）\"]*|\.[”’\"]*\s+"),
    re.compile(r"[，；、,;]\s*|\s+"),
)


def cut_position(text: str, target: int, window: int) -> int:
    """Finds the best place for a cut near a character position.

    A paragraph's end is best, then a line's, a sentence's, a clause's or word's; each is looked for within
    `window` characters on both sides, the nearest one wins; without any, the target itself is cut.
    """
    start = max(target - window, 1)
    end = min(target + window, len(text) - 1)
    if start > end:
        return min(max(target, 0), len(text))
    nearest: Callable[[int], int] = lambda place: abs(place - target)  # noqa: E731
    for boundary in _BOUNDARIES:
        places = [match.end() for match in boundary.finditer(text, start - 1, end)]
        places = [place for place in places if start <= place <= end]
        if places:
            return min(places, key=nearest)
    return min(max(target, start), end)
