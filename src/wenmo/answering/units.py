r"""The units that a reader reads: one Han character, one word of letters, one number, one mark.

An answer begins and ends at a unit. Han characters stand alone, so that no mistake of segmentation can cut an answer
short; what the segmentation says (the word a character belongs to, its borders) is a feature.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wenmo.text.folding import fold, stem
from wenmo.text.segmentation import HAN as HAN_RANGE
from wenmo.text.segmentation import HAN_RUN, sentences

HAN, LATIN, NUMBER, MARK = range(4)
_UNIT = re.compile(rf"(?P<han>[{HAN_RANGE}])|(?P<latin>[^\W\d_{HAN_RANGE}]+)|(?P<number>\d+)|(?P<mark>\S)")
_KINDS = {"han": HAN, "latin": LATIN, "number": NUMBER, "mark": MARK}


@dataclass(frozen=True)
class Units:
    """A text cut into L units.

    Attributes:
        text: The text as it was given.
        starts: First character of each unit, int32 (L,).
        ends: Character after each unit, int32 (L,).
        folded: Each unit in folded form (see `wenmo.text.folding.fold`).
        words: The word that each unit belongs to: of Han characters by dictionary, of letters its stem.
        keys: A number for each folded unit (letters: for the stem), equal for equal ones, uint64 (L,).
        kinds: HAN, LATIN, NUMBER or MARK, uint8 (L,).
        begins: Whether a unit begins a word, bool (L,).
        closes: Whether a unit ends a word, bool (L,).
        sentence: Number of the sentence of each unit, int32 (L,).
    """

    text: str
    starts: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]
    folded: list[str]
    words: list[str]
    keys: npt.NDArray[np.uint64]
    kinds: npt.NDArray[np.uint8]
    begins: npt.NDArray[np.bool_]
    closes: npt.NDArray[np.bool_]
    sentence: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.folded)

    def span(self, start: int, end: int) -> tuple[int, int] | None:
        """First and last unit of the characters [start, end), or None when they hold no unit.

        A border inside a unit is moved outwards.
        """
        first = int(np.searchsorted(self.ends, start, "right"))
        last = int(np.searchsorted(self.starts, end, "left")) - 1
        return (first, last) if first <= last else None

    def string(self, first: int, last: int) -> str:
        """The characters of the units first to last, as they stand in the text."""
        return self.text[self.starts[first] : self.ends[last]]


def key(unit: str) -> int:
    """A number that is equal for equal units: the code point, or a checksum of a longer unit."""
    return ord(unit) if len(unit) == 1 else zlib.crc32(unit.encode("utf-8", "surrogatepass")) | 1 << 32


def _han_words(text: str) -> dict[int, str]:
    """The word of every Han character by its position."""
    import rjieba

    found: dict[int, str] = {}
    for match in HAN_RUN.finditer(text):
        place = match.start()
        for word in rjieba.cut(match.group()):
            for _ in word:
                found[place] = word
                place += 1
    return found


def cut_units(text: str) -> Units:
    """Cuts a text into units; white space is no unit."""
    plain = fold(text)
    matches = list(_UNIT.finditer(plain))
    kinds = np.array([_KINDS[str(match.lastgroup)] for match in matches], np.uint8)
    starts = np.array([match.start() for match in matches], np.int32)
    ends = np.array([match.end() for match in matches], np.int32)
    folded = [match.group() for match in matches]
    word_of = _han_words(plain)
    words = [
        word_of[match.start()] if kind == HAN else stem(match.group()) if kind == LATIN else match.group()
        for match, kind in zip(matches, kinds, strict=True)
    ]
    begins = np.ones(len(matches), np.bool_)
    left = 0
    for place in range(len(matches)):  # a word of Han characters begins where the one before has ended
        if kinds[place] == HAN and left:
            begins[place], left = False, left - 1
        elif kinds[place] == HAN:
            left = len(words[place]) - 1
    closes = np.append(begins[1:], True)[: len(matches)]
    borders = np.cumsum([len(sentence) for sentence in sentences(text)])
    return Units(
        text=text,
        starts=starts,
        ends=ends,
        folded=folded,
        words=words,
        keys=np.array(
            [key(w if k == LATIN else f) for f, w, k in zip(folded, words, kinds, strict=True)], np.uint64
        ),
        kinds=kinds,
        begins=begins,
        closes=closes,
        sentence=np.searchsorted(borders, starts, "right").astype(np.int32),
    )
