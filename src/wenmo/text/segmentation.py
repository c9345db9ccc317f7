r"""Words, sentences and shingles of Chinese and English text.

Han characters stand without spaces, so a word boundary of a regular expression (``\b``) never falls between
two of them nor between a letter and a Han character; nothing here relies on it.
"""

from __future__ import annotations

import re

HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufad9\U00020000-\U000323af"
RUNS = re.compile(
    rf"(?P<han>[{HAN}]+)"
    rf"|(?P<word>[^\W\d_{HAN}]+(?:['’\-][^\W\d_{HAN}]+)*)"
    r"|(?P<number>\d+(?:[.,:]\d+)*)"
)
"""Runs of Han characters (group `han`), words of letters (`word`) and numbers (`number`)."""
HAN_RUN = re.compile(rf"[{HAN}]+")
"""A run of Han characters."""
_CLOSERS = "”’」』）)】》〉\"'\\]"
_SENTENCE = re.compile(
    rf"[。！？…!?]+[{_CLOSERS}]*"
    rf"|(?<!\b[A-Z])(?<!\bMr)(?<!\bMrs)(?<!\bDr)(?<!\bSt)\.+[{_CLOSERS}]*(?=\s|$)"
    r"|\n+"
)


def words(text: str) -> list[str]:
    """Splits `text` into words: Han runs by dictionary and hidden Markov model (jieba), others by letters.

    Punctuation, symbols and white space are left out; numbers and words with an inner apostrophe or hyphen
    stay whole.
    """
    import rjieba

    found: list[str] = []
    for match in RUNS.finditer(text):
        if match.lastgroup == "han":
            found.extend(rjieba.cut(match.group()))
        else:
            found.append(match.group())
    return found


def sentences(text: str) -> list[str]:
    """Splits `text` after sentence ends of Chinese and English and at line breaks.

    The pieces keep every character: ``"".join(sentences(text)) == text``.
    """
    pieces: list[str] = []
    start = 0
    for match in _SENTENCE.finditer(text):
        end = match.end()
        while end < len(text) and text[end] in " \t\u3000\n":
            end += 1
        if end > start:
            pieces.append(text[start:end])
            start = end
    if start < len(text):
        pieces.append(text[start:])
    return pieces


def shingles(text: str, n: int) -> list[str]:
    """Returns the overlapping sequences of `n` units joined by spaces.

    A unit is one Han character or one lower-cased word, so that both languages give shingles of comparable
    size. A text shorter than `n` units gives one shingle; a text without units gives none.

    Raises:
        ValueError: When `n` is below 1.
    """
    if n < 1:
        raise ValueError("n must be at least 1")
    units: list[str] = []
    for match in RUNS.finditer(text):
        if match.lastgroup == "han":
            units.extend(match.group())
        else:
            units.append(match.group().lower())
    if not units:
        return []
    return [" ".join(units[i : i + n]) for i in range(max(len(units) - n + 1, 1))]
