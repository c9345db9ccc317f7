"""Which encoding a file is in: proven for UTF-8 and byte order marks, scored for the rest.

Every candidate must decode the whole file strictly. Among those that do, the text decides: how common its
Chinese characters are, or whether its accented letters stand where Western languages put them. A file whose
score stays low, or drops in some stretch, is refused with the place where it goes wrong.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from wenmo.corpus import neighbours
from wenmo.corpus.plausibility import chinese_score, chinese_weights, code_points, western_score

CHUNK = 1 << 20
SAMPLE = 1 << 18
WINDOW = 1 << 16

_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\x84\x31\x95\x33", "gb18030"),
)
BYTE_ORDER_MARKS = tuple(mark for mark, _ in _MARKS)
_BINARY_MAGIC = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"%PDF-",
    b"PK\x03\x04",
    b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd",
    b"\x7fELF",
    b"BM\x00",
    b"RIFF",
    b"7z\xbc\xaf",
    b"\xd0\xcf\x11\xe0",
    b"SQLite format 3",
    b"PAR1",
    b"OggS",
    b"ID3",
)
_UTF8_HAN = re.compile(rb"[\xe3-\xe9][\x80-\xbf]{2}")
_UTF8_ANY = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_HIGH = re.compile(rb"[\x80-\xff]+")


CUT_OFF = "ends within a character, which is left out: is the file whole?"
"""Note on a file that was cut, as a download may be."""


@dataclass(frozen=True)
class Detection:
    """What was found out about a file's bytes.

    Attributes:
        encoding: Name of a Python codec, or None when the file is refused.
        reason: Why it is refused: binary, undecodable, or mixed encodings.
        detail: The place and the evidence, for the user.
        note: A remark on how the encoding was found, or "".
    """

    encoding: str | None
    reason: str = ""
    detail: str = ""
    note: str = ""


def _strict(data: bytes, encoding: str) -> str | None:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    try:
        return decoder.decode(data)  # an unfinished character at the end of the sample is no error
    except (UnicodeDecodeError, UnicodeError):
        return None


def _candidates(sample: bytes) -> list[tuple[float, str]]:
    scored: list[tuple[float, str]] = []
    for encoding in ("gb18030", "big5", "big5hkscs"):
        text = _strict(sample, encoding)
        if text is not None:
            scored.append((chinese_score(text), encoding))
    for encoding in ("cp1252", "latin-1"):
        text = _strict(sample, encoding)
        if text is not None:
            scored.append((western_score(text), encoding))
            break
    for encoding in neighbours.ENCODINGS:
        text = _strict(sample, encoding)
        if text is not None:
            scored.append((neighbours.score(text, encoding), encoding))
    return sorted(scored, key=lambda item: -item[0])


def _utf16(sample: bytes) -> str | None:
    """Names the byte order of UTF-16 without a mark, or None when the sample is something else."""
    sample = sample[: len(sample) & ~1]
    best: tuple[float, str] | None = None
    for encoding in ("utf-16-le", "utf-16-be"):
        text = _strict(sample, encoding)
        if not text or "\x00" in text:
            continue
        codes = code_points(text)
        ascii_share = float(((codes >= 0x20) & (codes < 0x7F) | np.isin(codes, (9, 10, 13))).mean())
        high = codes[codes >= 0x80]
        weights = chinese_weights(high)
        latin = (high < 0x250).mean() if high.size else 0.0
        score = 2.0 * ascii_share + (1.0 - ascii_share) * max(
            float(weights.mean()) if high.size else 0.0, 2.0 * float(latin) - 0.5
        )
        if best is None or score > best[0]:
            best = (score, encoding)
    return best[1] if best and best[0] > 0.9 else None


@dataclass
class _Scan:
    """State of one pass of strict decoding over a file."""

    failed_at: int = -1
    line: int = 1
    low_at: int = -1
    low_line: int = 0
    unfinished: bool = False
    """Whether nothing fails but the last character, which is not all there."""


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while data := stream.read(CHUNK):
        yield data


def _scan(stream: BinaryIO, encoding: str, scored: bool) -> _Scan:
    """Decodes the whole stream strictly; with `scored`, also looks for windows that are no Chinese text."""
    state = _Scan()
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    position = 0
    newline = "\n".encode(encoding.removesuffix("-sig")) if not encoding.startswith("utf-32") else b"\n"
    newline = b"\n" if encoding in ("utf-16", "utf-8-sig") else newline
    for data in _chunks(stream):
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(data)
        except UnicodeError as error:
            # UTF-16 and UTF-32 without their mark raise the general class, which knows no position.
            start = error.start if isinstance(error, UnicodeDecodeError) else pending
            state.failed_at = position - pending + start
            state.line += data[: max(start - pending, 0)].count(newline)
            return state
        if scored and state.low_at < 0:
            state.low_at = _low_window(text, data, position)
            if state.low_at >= 0:
                state.low_line = state.line + data[: state.low_at - position].count(newline)
        state.line += data.count(newline)
        position += len(data)
    try:
        decoder.decode(b"", final=True)
    except UnicodeError:
        state.unfinished = True
        state.failed_at = position - len(decoder.getstate()[0])
    return state


def _low_window(text: str, data: bytes, position: int) -> int:
    """Byte position of the first stretch whose characters are those of a wrong encoding, or -1."""
    step = WINDOW // 16
    for start in range(0, len(text), step):
        window = text[start : start + step]
        codes = code_points(window)
        high = codes[codes >= 0x80]
        if high.size >= 24 and float(chinese_weights(high).mean()) < -0.4:
            return position + len(data) * start // max(len(text), 1)
    return -1


def _mixed_with_utf8(sample: bytes) -> bool:
    """Whether much of a sample that is not UTF-8 is UTF-8 all the same, and reads well as that."""
    high = sum(len(run) for run in _HIGH.findall(sample))
    han = b"".join(_UTF8_HAN.findall(sample))
    anywhere = sum(len(sequence) for sequence in _UTF8_ANY.findall(sample))
    if len(han) >= 0.3 * high > 0 and chinese_score(han.decode("utf-8")) >= 0.5:
        return True
    return anywhere >= 0.9 * high > 0 and western_score(sample.decode("utf-8", "ignore")) >= 1.0


def detect(stream: BinaryIO) -> Detection:
    """Finds the encoding of a seekable or reopenable byte stream.

    Args:
        stream: Bytes of the file; read from the start, several times.

    Returns:
        The encoding, or why the file is refused.
    """
    head = stream.read(SAMPLE)
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            stream.seek(0)
            scan = _scan(stream, encoding, scored=False)
            return _verdict(encoding, scan, "", f"byte order mark of {encoding}")
    if head.startswith(_BINARY_MAGIC):
        return Detection(None, "binary", "starts with the mark of a binary format")
    if b"\x00" in head:
        utf16 = _utf16(head)
        if utf16 is None:
            return Detection(None, "binary", f"zero byte at byte {head.index(0)}")
        stream.seek(0)
        return _verdict(utf16, _scan(stream, utf16, scored=False), "UTF-16 without byte order mark", utf16)
    stream.seek(0)
    scan = _scan(stream, "utf-8", scored=False)
    if scan.failed_at < 0:
        return _seven_bits(head) or Detection("utf-8")
    return _legacy(stream, scan, head)


def _seven_bits(head: bytes) -> Detection | None:
    """Refuses ISO-2022 (old Japanese and Korean mail), which consists of ASCII bytes and would read as nonsense."""
    for mark, encoding in ((b"\x1b$B", "iso2022_jp"), (b"\x1b$@", "iso2022_jp"), (b"\x1b$)C", "iso2022_kr")):
        at = head.find(mark)
        text = _strict(head, encoding) if at >= 0 else None
        if text is not None and not text.isascii():
            return Detection(
                None,
                "undecodable",
                f"{encoding} begins at byte {at}; read it with --corpus.encoding {encoding}",
            )
    return None


def _legacy(stream: BinaryIO, scan: _Scan, head: bytes) -> Detection:
    place = f"byte {scan.failed_at} (line {scan.line})"
    stream.seek(max(scan.failed_at - SAMPLE // 2, 0) if scan.failed_at > SAMPLE // 2 else 0)
    sample = stream.read(SAMPLE)
    if scan.failed_at > SAMPLE // 2:
        sample = sample[sample.find(b"\n") + 1 :]
    utf16 = _utf16(sample) if scan.failed_at < SAMPLE // 2 else None
    candidates = _candidates(sample)
    if utf16 is not None and (not candidates or candidates[0][0] < 1.0):
        stream.seek(0)
        return _verdict(utf16, _scan(stream, utf16, scored=False), "UTF-16 without byte order mark", utf16)
    if b"\x00" in sample:
        return Detection(None, "binary", f"zero byte near {place}")
    if _mixed_with_utf8(sample):
        if scan.unfinished:
            return _verdict("utf-8", scan, "", "UTF-8")
        return Detection(None, "mixed encodings", f"UTF-8 until {place}, then something else")
    if candidates and candidates[0][0] >= 0.6:
        score, encoding = candidates[0]
        rivals = [
            other for value, other in candidates[1:] if value > score - 0.25 and other[:4] != encoding[:4]
        ]
        if rivals:
            return Detection(
                None,
                "undecodable",
                f"could be {encoding} or {rivals[0]} from {place}; name it with --corpus.encoding",
            )
        stream.seek(0)
        language = neighbours.ENCODINGS.get(encoding)
        note = f"read as {language} in {encoding}, as its text has it" if language else ""
        return _verdict(
            encoding, _scan(stream, encoding, scored=encoding.startswith(("gb", "big"))), note, encoding
        )
    return _other_encoding(stream, sample, place)


def _other_encoding(stream: BinaryIO, sample: bytes, place: str) -> Detection:
    from charset_normalizer import from_bytes

    best = from_bytes(sample[: 1 << 16], cp_exclusion=["utf_7"]).best()
    known = {"gb18030", "gbk", "gb2312", "big5", "big5hkscs", "cp950", "cp1252", "latin_1", "utf_8", "ascii"}
    if best is not None and best.encoding not in known and best.chaos <= 0.05 and best.coherence >= 0.4:
        stream.seek(0)
        scan = _scan(stream, best.encoding, scored=False)
        if scan.failed_at < 0:
            return Detection(
                best.encoding, note=f"encoding {best.encoding} found by statistics of {best.language}"
            )
    return Detection(
        None,
        "undecodable",
        f"not UTF-8 from {place}, and no other encoding reads well; name it with --corpus.encoding",
    )


def _verdict(encoding: str, scan: _Scan, note: str, evidence: str) -> Detection:
    if scan.failed_at >= 0 and not scan.unfinished:
        detail = f"{evidence} until byte {scan.failed_at} (line {scan.line}), then bytes that are not"
        return Detection(None, "mixed encodings", detail)
    if scan.low_at >= 0:
        detail = f"read as {evidence}, the text near byte {scan.low_at} (line {scan.low_line}) is no Chinese"
        return Detection(None, "mixed encodings", detail)
    return Detection(encoding, note="; ".join(filter(None, (note, CUT_OFF if scan.unfinished else ""))))


def check(stream: BinaryIO, encoding: str) -> Detection:
    """Tests that a stream decodes strictly in an encoding the user named, but for a last character that is cut off."""
    scan = _scan(stream, encoding, scored=False)
    if scan.failed_at >= 0 and not scan.unfinished:
        return Detection(None, "undecodable", f"not {encoding} at byte {scan.failed_at} (line {scan.line})")
    return _verdict(encoding, scan, "", encoding)
