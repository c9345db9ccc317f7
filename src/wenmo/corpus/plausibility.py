"""How well a decoded text reads: common Chinese characters, or Western letters where words have them."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import numpy.typing as npt

_FREQUENT = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去法学"
    "如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高间"
    "由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走"
    "這個們來為國說時會對於過發後裡種經麼學現當沒動還進樣實軍無與長機體戰應間關點業將兩見頭問產員東門論處給開話氣書電車愛聽讓誰難覺認識歡請謝"
    "曰云兮乎矣吾汝君臣山水風花春秋夜白青红紅雨江人心"
)
_PUNCTUATION = "，。、；：？！“”‘’（）《》〈〉「」『』【】—…·　"
_WESTERN_LETTERS = "àâäáãåæçéèêëíìîïñóòôöõøœúùûüýÿßÀÂÄÁÇÉÈÊÍÑÓÖÔÚÜŒ"
_WESTERN_SIGNS = "‘’“”–—…«»¡¿£€§°©®™·•½¼¾²³×±\u00a0ºª"


def _characters(codec: str, first: range, second: range) -> str:
    data = b"".join(bytes([a, b]) for a in first for b in second)
    return data.decode(codec, "ignore")


@cache
def _weights() -> npt.NDArray[np.float32]:
    """Score of every code point of the basic plane in Chinese text, float32 (65536,)."""
    table = np.full(0x10000, -3.0, np.float32)
    table[:0x80] = 0.0
    table[0x3000:0x3030] = 0.0
    table[0xFF00:0xFF5F] = 0.0
    table[0x3400:0xA000] = -1.5

    def give(characters: str, weight: float) -> None:
        for character in characters:
            if ord(character) < 0x10000:
                table[ord(character)] = weight

    low = range(0x40, 0x7F)
    high = range(0xA1, 0xFF)
    give(_characters("big5", range(0xA4, 0xC7), low) + _characters("big5", range(0xA4, 0xC7), high), 0.4)
    give(_characters("gb2312", range(0xB0, 0xD8), high), 1.0)
    give(_characters("big5", range(0xA4, 0xAB), low) + _characters("big5", range(0xA4, 0xAB), high), 1.0)
    give(_WESTERN_SIGNS, 0.0)
    give(_FREQUENT, 3.0)
    give(_PUNCTUATION, 3.0)
    return table


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """Code points of a text, uint32 (characters,)."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def chinese_weights(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.float32]:
    """Score of each code point in Chinese text, float32: from 3 for the most common to -3 for strangers."""
    return _weights()[np.minimum(codes, 0xFFFF)]


def chinese_score(text: str) -> float:
    """Mean score per non-ASCII character: near 2 for Chinese text, below 0 for one misread."""
    codes = code_points(text)
    codes = codes[codes >= 0x80]
    if not codes.size:
        return 0.0
    return float(chinese_weights(codes).mean())


_WESTERN_RUN = re.compile("[\x80-\U0010ffff]+")
_MISREAD = re.compile("[ÂÃâ][\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]")


def western_score(text: str) -> float:
    """Mean score per non-ASCII character: near 2 for Western European text, below 0 for others."""
    total = 0.0
    count = 0
    for match in _WESTERN_RUN.finditer(text):
        run = match.group()
        count += len(run)
        before = text[match.start() - 1 : match.start()]
        after = text[match.end() : match.end() + 1]
        beside = (before.isalpha() and before.isascii()) or (after.isalpha() and after.isascii())
        for character in run:
            if character in _WESTERN_LETTERS:
                lower_in_word = character.islower() or not before or not before.islower()
                total += (2.0 if beside and lower_in_word else -0.5) if len(run) <= 2 else -2.0
            elif character in _WESTERN_SIGNS:
                total += 1.5 if len(run) <= 3 else -1.0
            else:
                total -= 3.0
    if count and _MISREAD.search(text):
        return -3.0
    return total / count if count else 0.0
