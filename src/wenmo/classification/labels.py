"""Names of the labels: in order, and with those pointed out that may be one label written twice."""

from __future__ import annotations

import difflib
import unicodedata
from collections import Counter
from collections.abc import Sequence

ALIKE = 0.8
"""Similarity (difflib's ratio) from which on two names look like one with a slip."""


def label_names(labels: Sequence[str]) -> list[str]:
    """Distinct labels; numbers in the order of their values, else the order of the alphabet."""
    distinct = sorted(set(labels))
    try:
        return sorted(distinct, key=lambda name: (float(name), name))
    except ValueError:
        return distinct


def similar_labels(labels: Sequence[str]) -> list[str]:
    """Sentences about labels that look like one label written in two ways.

    Two names are alike when they differ by width, case or white space only ("ＰＯＳ", "pos") or are one number ("1",
    "1.0"); or when the rarer one is rare (at most a tenth of the other), both have four letters or more, no digits, and
    almost the same ones ("positve", "positive"; of "外卖差评", "外卖差坪" only if the latter stands there once or
    twice).
    """
    counts = Counter(labels)
    names = sorted(counts, key=lambda name: -counts[name])
    plain = {name: _plain(name) for name in names}
    found = []
    for place, often in enumerate(names):
        for rare in names[place + 1 :]:
            a, b = plain[often], plain[rare]
            same = a == b
            slip = (
                not same
                and counts[rare] * 10 <= counts[often]
                and min(len(a), len(b)) >= 4
                and not any(c.isdigit() for c in a + b)
                and (difflib.SequenceMatcher(None, a, b).ratio() >= ALIKE or _one_wrong(a, b, counts[rare]))
            )
            if same or slip:
                found.append(
                    f"the labels {often!r} ({counts[often]:,} rows) and {rare!r} ({counts[rare]:,}) "
                    "may be one label written in two ways; they are kept apart"
                )
    return found


def _plain(name: str) -> str:
    plain = "".join(unicodedata.normalize("NFKC", name).casefold().split())
    try:
        return f"{float(plain):g}"
    except ValueError:
        return plain


def _one_wrong(a: str, b: str, rows: int) -> bool:
    """Whether one character was mistyped, once or twice."""
    return rows <= 2 and len(a) == len(b) and sum(x != y for x, y in zip(a, b, strict=True)) == 1
