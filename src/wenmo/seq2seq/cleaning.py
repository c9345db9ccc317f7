"""Cleaning sentence pairs: what is repaired, and what is left out and why."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

from wenmo.errors import InputError
from wenmo.seq2seq.pairs import CHINESE, Pair, Pairs, read_pairs
from wenmo.text.scripts import han_share, script_counts

_HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufad9\U00020000-\U000323af"
_WIDE = rf"{_HAN}\u3001-\u3004\u3008-\u3020\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65“”‘’…—"
_SPACED = re.compile(
    rf"(?<=[{_WIDE}])\s+(?=[{_WIDE}])|(?<=[{_HAN}])\s+(?=[,.!?;:%)])|(?<=[(])\s+(?=[{_HAN}])"
)
RATIO_SLACK = 10
"""Characters added to both lengths before they are compared: short sentences vary more."""
SCRIPT_LETTERS = 8
"""A line with fewer letters may be in another script: a name, an abbreviation."""

Script = Literal["keep", "simplified", "traditional"]


@dataclass(frozen=True)
class Cleaned:
    """What cleaning left.

    Attributes:
        pairs: The pairs that stay.
        dropped: Reason -> pairs left out.
        notes: What was repaired and what was noticed, a sentence each.
    """

    pairs: list[Pair]
    dropped: Counter[str]
    notes: list[str]


def unspace(text: str) -> str:
    """Takes out the spaces between Han characters and their punctuation; between words of Latin they stay."""
    return _SPACED.sub("", text)


def tidy(text: str) -> str:
    """Composes characters (NFC), drops marks that cannot be seen, and makes any white space one space."""
    text = unicodedata.normalize(
        "NFC", text.replace("\ufeff", "").replace("\u200b", "").replace("\u00ad", "")
    )
    return " ".join(text.split())


def clean_pairs(
    rows: Sequence[Pair], *, max_ratio: float = 3.0, max_chars: int = 1000, script: Script = "keep"
) -> Cleaned:
    """Repairs pairs and leaves out those that would teach the wrong thing.

    Args:
        rows: Pairs as read.
        max_ratio: A pair goes when its ratio of lengths is this many times larger or smaller than usual.
        max_chars: A pair with a longer side goes.
        script: Converts Chinese to one script.

    Returns:
        The pairs that stay, in order, and counts of the others.
    """
    notes: list[str] = []
    sides = [_repair([pair.source for pair in rows], script, notes, "source")]
    sides.append(_repair([pair.target for pair in rows], script, notes, "target"))
    scripts = [_main_script(side) for side in sides]
    usual = median([_ratio(a, b) for a, b in zip(*sides, strict=True) if a and b] or [1.0])
    dropped: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    kept: list[Pair] = []
    for pair, source, target in zip(rows, *sides, strict=True):
        reason = _fault(source, target, usual, max_ratio, max_chars, scripts)
        if not reason and (source, target) in seen:
            reason = "the same pair again"
        if reason:
            dropped[reason] += 1
            continue
        seen.add((source, target))
        kept.append(Pair(source, target, pair.place))
    return Cleaned(kept, dropped, notes)


def _repair(lines: list[str], script: Script, notes: list[str], name: str) -> list[str]:
    lines = [tidy(line) for line in lines]
    if han_share("\n".join(lines[:5000])) <= CHINESE:
        return lines
    joined = [unspace(line) for line in lines]
    spaced = sum(a != b for a, b in zip(lines, joined, strict=True))
    if spaced:
        notes.append(f"{name}: spaces between Chinese characters were taken out of {spaced:,} lines")
    if script == "keep":
        return _look_at_script(joined, notes, name)
    from opencc import OpenCC

    converter = OpenCC("t2s" if script == "simplified" else "s2t")
    converted = [converter.convert(line) for line in joined]
    changed = sum(a != b for a, b in zip(joined, converted, strict=True))
    notes.append(f"{name}: {changed:,} lines were converted to {script} characters")
    return converted


def _look_at_script(lines: list[str], notes: list[str], name: str) -> list[str]:
    from opencc import OpenCC

    sample = lines[:: max(1, len(lines) // 2000)]
    to_simplified, to_traditional = OpenCC("t2s"), OpenCC("s2t")
    traditional = sum(to_simplified.convert(line) != line for line in sample) / max(len(sample), 1)
    simplified = sum(to_traditional.convert(line) != line for line in sample) / max(len(sample), 1)
    if min(traditional, simplified) > 0.02:
        notes.append(
            f"{name}: about {traditional:.0%} of the lines hold traditional and {simplified:.0%} simplified "
            "characters; --script simplified (or traditional) makes them one"
        )
    return lines


def _ratio(source: str, target: str) -> float:
    return (len(target) + RATIO_SLACK) / (len(source) + RATIO_SLACK)


def _main_script(lines: list[str]) -> str:
    """The script of most letters of a side: `han`, `latin` or `other`."""
    counts = script_counts("\n".join(lines[:5000]))
    return max(("latin", "han", "other"), key=lambda name: counts[name])


def _fault(
    source: str, target: str, usual: float, max_ratio: float, max_chars: int, scripts: list[str]
) -> str | None:
    """Why a pair is left out; None when it stays."""
    if not source or not target:
        return "an empty side"
    if source == target:
        return "both sides identical"
    if max(len(source), len(target)) > max_chars:
        return f"a side of more than {max_chars:,} characters"
    if not 1 / max_ratio <= _ratio(source, target) / usual <= max_ratio:
        return "lengths that do not fit"
    for text, script in zip((source, target), scripts, strict=True):
        counts = script_counts(text)
        letters = counts["latin"] + counts["han"] + counts["other"]
        # A Han character says about as much as three letters of a word.
        own = counts[script] * (3 if script == "han" else 1)
        if letters >= SCRIPT_LETTERS and own < 0.2 * letters:
            return "a side in another script"
    return None


def read_clean_pairs(
    paths: Sequence[str | Path],
    *,
    encoding: str | None = None,
    source_field: str | None = None,
    target_field: str | None = None,
    max_ratio: float = 3.0,
    script: Script = "keep",
) -> Pairs:
    """Reads pairs (see `read_pairs`) and cleans them (see `clean_pairs`).

    Raises:
        InputError: When files cannot be read, or no pair is left.
        OptionError: When a named column is not there.
    """
    pairs = read_pairs(paths, encoding=encoding, source_field=source_field, target_field=target_field)
    cleaned = clean_pairs(pairs.rows, max_ratio=max_ratio, script=script)
    dropped = pairs.dropped + cleaned.dropped
    if not cleaned.pairs:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in dropped.items())
        raise InputError(
            f"{paths[0]}: no pair is left after cleaning ({reasons}); give sentences and translations"
        )
    return Pairs(cleaned.pairs, pairs.languages, dropped, [*pairs.notes, *cleaned.notes])
