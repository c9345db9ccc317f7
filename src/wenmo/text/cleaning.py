"""Cleaning that removes dirt and keeps the writing: Chinese punctuation, full-width forms and quotes stay."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

_LINE_ENDS = "\x0b\x0c\u2028\u2029"
_JUNK = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2060\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0001]"
)
_ASCII_JUNK = bytes([*range(9), *range(14, 32), 127])
_SPACE = " \t\u00a0\u3000"
_SPACED_ENDS = tuple(f"{space}\n" for space in _SPACE)
_LEAD = re.compile("[\xc2-\xf4]")
_LEADING = re.compile(r"\A\s*\n")
_SOLID = re.compile("[!-~\u3001-\u301f\u3400-\u4dbf\u4e00-\u9fff\uff01-\uff5e]")
_LINE_START = re.compile(f"[{_SPACE}]*{_SOLID.pattern}")
_LONG = 2048
_FAR = 1 << 16
_CP1252 = {
    bytes([byte]).decode("cp1252"): byte
    for byte in (*range(0x80, 0xA0),)
    if byte not in b"\x81\x8d\x8f\x90\x9d"
}
_CONTINUATION = "\x80-\xbf" + "".join(_CP1252)
_SEQUENCE = re.compile(
    f"[\xc2-\xdf][{_CONTINUATION}]|[\xe0-\xef][{_CONTINUATION}]{{2}}|[\xf0-\xf4][{_CONTINUATION}]{{3}}"
)
_QUOTES = "‘’“”"


@cache
def _misread_bytes() -> dict[int, int]:
    """Maps the code points that a byte becomes when it is read as cp1252 or Latin-1 back to the byte."""
    table = {byte: byte for byte in range(256)}
    table.update({ord(character): byte for character, byte in _CP1252.items()})
    return table


def _repair_line(line: str) -> str:
    sequences = _SEQUENCE.findall(line)
    if not sequences:
        return line
    if len(sequences) == 1 and len(sequences[0]) == 2 and sequences[0][1] in _QUOTES:
        return line  # a capital letter before a closing quotation mark
    table = _misread_bytes()
    try:
        return bytes([table[ord(character)] for character in line]).decode("utf-8")
    except (KeyError, UnicodeDecodeError):
        return line


def repair_mojibake(text: str) -> str:
    """Undoes UTF-8 that was read as Latin-1 or cp1252 (`ä¸­æ–‡` for `中文`, `cafÃ©` for `café`).

    A line is changed only when every character of it goes back to a byte and those bytes are valid UTF-8.
    """
    if text.isascii() or not _SEQUENCE.search(text):
        return text
    return "\n".join([_repair_line(line) for line in text.split("\n")])


@cache
def _flags() -> npt.NDArray[np.uint8]:
    """Marks code points, uint8 (0x110000,): 1 junk, 2 what may start misread UTF-8, 4 what may follow there."""
    table = np.zeros(0x110000, np.uint8)
    for code in (*range(0x10000), 0xE0001):
        if _JUNK.match(chr(code)):
            table[code] = 1
    table[0xC2:0xF5] |= 2
    table[0x80:0xC0] |= 4
    for character in _CP1252:
        table[ord(character)] |= 4
    return table


def _suspects(text: str) -> tuple[bool, bool]:
    """Whether a text that is not ASCII has junk in it, and what may be misread UTF-8."""
    if len(text) < _LONG:
        return bool(_JUNK.search(text)), bool(_LEAD.search(text))
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    flags = _flags()[codes]
    misread = ((flags[:-1] & 2) != 0) & ((flags[1:] & 4) != 0)
    return bool((flags & 1).any()), bool(misread.any())


def _tidy(text: str, junk: bool) -> str:
    for end in _LINE_ENDS:
        if end in text:
            text = text.replace(end, "\n")
    if junk:
        text = _JUNK.sub("", text)
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    for end in _SPACED_ENDS * 2:  # replacing is many times faster than splitting, and mostly enough
        if end in text:
            text = text.replace(end, "\n")
    if any(end in text for end in _SPACED_ENDS):
        lines = text.split("\n")
        text = "\n".join([*(line.rstrip(_SPACE) for line in lines[:-1]), lines[-1]])
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text


def _clean_ascii(text: str) -> str:
    data = text.encode("ascii")
    kept = data.translate(None, _ASCII_JUNK)
    return _tidy(text if len(kept) == len(data) else kept.decode("ascii"), junk=False)


def clean(text: str, first: bool = True, last: bool = True) -> str:
    r"""Cleans a text, or one part of it.

    Line ends become ``\n``; control characters, byte order marks, zero-width spaces, soft hyphens and lone
    surrogates go; the text is in Unicode normal form C (never KC, which would turn ，！： into ASCII); white
    space at line ends and more than one blank line in a row go; UTF-8 that was read as Latin-1 is repaired.
    Cleaning a clean text changes nothing.

    Args:
        text: The text, or a part of it that was cut at `safe_cut`.
        first: Whether the part starts the document; blank lines at the start go.
        last: Whether the part ends the document; white space at the end goes.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    while not text.isascii():
        before = text
        junk, lead = _suspects(text)
        if lead:
            text = repair_mojibake(text).replace("\r", "\n")
            junk = junk or text != before
        text = _tidy(text, junk)
        if text == before or not (lead or junk):  # without the junk, misread bytes may stand side by side
            break
    else:
        text = _clean_ascii(text)
    if first:
        text = _LEADING.sub("", text)
    return text.rstrip() if last else text


def safe_cut(text: str) -> int:
    """Returns the last position where `text` may be cut so that cleaning the parts equals cleaning the whole.

    That is after a line break and before a visible character; in a text without line breaks between two
    visible characters that never combine; 0 when there is no such place.
    """
    end = text.rfind("\n")
    while end >= 0:
        if _LINE_START.match(text, end + 1):
            return end + 1
        end = text.rfind("\n", 0, end)
    for position in range(len(text) - 1, max(len(text) - _FAR, 0), -1):
        if _SOLID.match(text, position) and _SOLID.match(text, position - 1):
            return position
    return 0
