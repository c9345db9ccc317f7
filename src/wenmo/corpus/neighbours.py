"""How well a decoded text reads as Korean or Japanese, whose encodings share their bytes with the Chinese ones.

Nearly every syllable of EUC-KR is also a common character of GB18030, so a Korean file that is judged by Chinese
alone reads as Chinese, and all of it is wrong. The scores are on the scale of `plausibility.chinese_score`: near 2
for text in the language, far less for text that is something else.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from wenmo.corpus.plausibility import code_points

ENCODINGS = {"cp949": "Korean", "cp932": "Japanese", "euc_jp": "Japanese"}
"""Encodings tried beside the Chinese ones, and their languages."""
_LEAST_KANA = 0.1
"""Share of kana below which a text is not taken for Japanese: characters alone say nothing."""
_DOUBT = 2.0
_FREQUENT_SYLLABLES = (
    "이다는에의을를가고하지은한도로사기자리아시어나인서대그해으것과수들일정있게보라제부장주전만면상여원"
    "니적구거말음성오우마스었했동모조세생당안선비공없요히위간경신발무소식분문연내까때진양실유습된중방"
)
_PUNCTUATION = "，。、・「」『』（）！？：；ー〜…“”‘’·〈〉《》【】　"


def _rows(codec: str, first: range, second: range) -> str:
    return b"".join(bytes([a, b]) for a in first for b in second).decode(codec, "ignore")


def _weights(start: float, given: list[tuple[str, float]]) -> npt.NDArray[np.float32]:
    table = np.full(0x10000, start, np.float32)
    for characters, weight in given:
        table[[ord(character) for character in characters]] = weight
    return table


@cache
def _korean() -> npt.NDArray[np.float32]:
    trail = range(0xA1, 0xFF)
    return _weights(
        -3.0,
        [
            (_rows("cp949", range(0x81, 0xC7), range(0x41, 0xFF)), -1.5),  # syllables hardly ever written
            (_rows("euc_kr", range(0xCA, 0xFE), trail), -1.0),  # Chinese characters
            (_rows("euc_kr", range(0xB0, 0xC9), trail), 1.0),
            (_rows("euc_kr", range(0xA1, 0xA4), trail), 0.0),
            (_FREQUENT_SYLLABLES, 3.0),
            (_PUNCTUATION, 1.0),
        ],
    )


@cache
def _japanese() -> npt.NDArray[np.float32]:
    trail = range(0xA1, 0xFF)
    return _weights(
        -3.0,
        [
            (_rows("euc_jp", range(0xD0, 0xF5), trail), -0.5),  # the second thousands of characters
            (_rows("euc_jp", range(0xB0, 0xD0), trail), 1.0),
            (_rows("euc_jp", range(0xA1, 0xA4), trail), 0.0),
            (_rows("euc_jp", range(0xA4, 0xA6), trail), 3.0),  # kana
            (_PUNCTUATION, 3.0),
        ],
    )


def score(text: str, encoding: str) -> float:
    """Mean score per non-ASCII character of a text decoded from one of `ENCODINGS`; -3 when it is out of the question.

    A few characters prove little, and Chinese is the likelier language of a file here, so very short texts score less.
    """
    codes = code_points(text)
    codes = np.minimum(codes[codes >= 0x80], 0xFFFF)
    if not codes.size:
        return -3.0
    doubt = _DOUBT / codes.size
    if ENCODINGS[encoding] == "Korean":
        return float(_korean()[codes].mean()) - doubt
    kana = float(((codes >= 0x3041) & (codes <= 0x30FA)).mean())
    return float(_japanese()[codes].mean()) - doubt if kana >= _LEAST_KANA else -3.0
