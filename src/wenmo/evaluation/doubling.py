"""What twice the text would give: an estimate from what its second half gave, and from the passes over it.

Two parts, each a law fitted on texts in both languages and on source code (`bench/laws.py`), and tried on texts that
it was not fitted on:

- The n-gram model is counted on half of the text and on all of it. The next doubling lowers ln L by `KEPT` times as
  much as the last one did.
- A network that trains for the same time on twice the text sees it half as often, and loses less by repetition
  (`wenmo.training.reach.repetition`).

Both are put together as the mixture puts them together now.
"""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict

from wenmo.training.reach import repetition

KEPT, KEPT_SPREAD = 0.802, 0.378
"""Share of an n-gram model's last fall of ln L that the next doubling of the text gives, and its standard deviation."""
NINETY = 1.645


class TwiceTheText(BaseModel):
    """What the same time with twice the text of the same kind would give; scores in bits per byte on held-out text."""

    model_config = ConfigDict(frozen=True)

    now: float
    """Score of the run on its test text."""
    predicted: float
    """Score with twice the text."""
    low: float
    """Lower end of the interval that holds it for about nine of ten texts."""
    high: float
    """Upper end."""
    method: str
    """How it was found out."""


def ngram_fall(half: float, full: float, kept: float = KEPT) -> float:
    """Fall of ln L that the next doubling gives an n-gram model with these losses on half and all of the text."""
    return kept * max(math.log(half / full), 0.0)


def network_fall(passes: float, scale: float = 1.0) -> float:
    """Fall of ln L that twice the text gives a network at equal time after so many passes over the present one."""
    return scale * (repetition(passes) - repetition(passes / 2.0))


def sentence(found: TwiceTheText) -> str:
    """Says it in words."""
    gain = 1.0 - found.predicted / found.now
    low, high = 1.0 - found.high / found.now, 1.0 - found.low / found.now
    if high < 0.005:
        return f"Twice the text would give next to nothing in the same time (less than 0.5%): {found.method}."
    return (
        f"Twice the text of the same kind would give about {gain:.1%} fewer bits per byte in the same time "
        f"({max(low, 0.0):.1%} to {high:.1%}): {found.method}."
    )
