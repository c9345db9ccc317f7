"""The terms that a text is found by: words, characters and pairs of characters for Chinese, stems for English.

A segmenter cuts the same name in two ways in two sentences, so words alone miss it; characters alone find too much. All
three together, as terms of one index, do better than any of them (docs/lab.md). Letters, numbers and traditional
characters are folded first.
"""

from __future__ import annotations

from itertools import pairwise

from wenmo.text.folding import fold, stem
from wenmo.text.segmentation import HAN_RUN, RUNS

_ENGLISH = """a an the of in on at to for from by with and or is are was were be been do does did has have had it its
this that these those what which who whom whose when where why how many much as not"""
_CHINESE = """的 了 和 是 在 有 与 为 被 什么 哪 哪个 哪些 哪一 多少 谁 吗 呢 何 何时 几 及 其 于 之 而 或 由 所 以"""
_ENGLISH_STOP, _CHINESE_STOP = frozenset(_ENGLISH.split()), frozenset(_CHINESE.split())
_QUESTION = frozenset(
    ["什么", "哪个", "哪些", "哪一", "多少", "何时", "何处", "为何", "如何", "怎么", "怎样"]
)


def terms(text: str) -> list[str]:
    """Returns the terms of a text in order, repeats included.

    Han runs give their words, the characters of these words, and their pairs of characters (marked, so that a pair is
    never taken for a word); other runs give stems of lower-cased words and numbers. Words that stand everywhere, and
    question words, are left out.
    """
    import rjieba

    found: list[str] = []
    plain = fold(text)
    for match in RUNS.finditer(plain):
        run = match.group()
        if not HAN_RUN.match(run):
            if run not in _ENGLISH_STOP:
                found.append(stem(run))
                if "-" in run:
                    found.extend(stem(part) for part in run.split("-") if part and part not in _ENGLISH_STOP)
            continue
        for word in rjieba.cut(run):
            if word not in _CHINESE_STOP:
                found.append(word)
                found.extend(word if len(word) > 1 else ())
        if len(run) > 2:
            found.extend(pair + "₂" for a, b in pairwise(run) if (pair := a + b) not in _QUESTION)
    return found
