"""Writes `src/wenmo/tokenization/characters.json`: what kind of character the `tokenizers` library takes each for.

python docs/characters.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tokenizers import Regex, pre_tokenizers

from wenmo.tokenization.cutting import HAN, LETTER, LINE_END, MARK, NUMBER, SPACE

CLASSES = {
    HAN: r"\p{Han}",
    LETTER: r"\p{L}",
    MARK: r"\p{M}",
    NUMBER: r"\p{N}",
    SPACE: r"\s",
    LINE_END: r"[\r\n]",
}
TARGET = Path(__file__).parents[1] / "src/wenmo/tokenization/characters.json"


def main() -> None:
    """Asks the library's regular expressions about every code point but surrogates."""
    points = np.array([*range(0xD800), *range(0xE000, 0x110000)])
    text = "".join(map(chr, points))
    flags = np.zeros(0x110000, np.uint8)
    for flag, pattern in CLASSES.items():
        others = np.ones(len(points), bool)
        for _, (start, end) in pre_tokenizers.Split(Regex(f"(?:{pattern})+"), "removed").pre_tokenize_str(
            text
        ):
            others[start:end] = False
        flags[points[others]] |= flag
    starts = [0, *(np.flatnonzero(np.diff(flags)) + 1).tolist()]
    runs = [[start, int(flags[start])] for start in starts]
    TARGET.write_text(json.dumps(runs, separators=(",", ":")) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
