"""Exact match and F1 of answers: of characters for Chinese, of words for English.

English follows SQuAD (Rajpurkar et al. 2016): lower case, no punctuation, no articles, the tokens in common.
Chinese follows CMRC 2018 (Cui et al. 2019): punctuation and spaces removed, Han characters and Latin words as tokens,
the longest common *substring* over tokens as what is in common.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wenmo.text import han_share, is_han

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = frozenset(string.punctuation)


def is_chinese(text: str) -> bool:
    """Whether a text is scored (and searched) as Chinese: a fifth of its letters are Han characters."""
    return han_share(text) > 0.2


def english_tokens(text: str) -> list[str]:
    """SQuAD's normal form, split at white space."""
    plain = "".join(character for character in text.lower() if character not in _PUNCTUATION)
    return _ARTICLE.sub(" ", plain).split()


def chinese_tokens(text: str) -> list[str]:
    """Han characters one by one and the rest in words, lower case, without punctuation, symbols and spaces."""
    tokens: list[str] = []
    word = ""
    for character in f"{text.lower()} ":
        category = unicodedata.category(character)[0]
        if category in "PS":  # a mark inside a word is left out, and does not part it
            continue
        if (category in "ZC" or is_han(character)) and word:
            tokens.append(word)
            word = ""
        if is_han(character):
            tokens.append(character)
        elif category not in "ZC":
            word += character
    return tokens


def longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest contiguous sequence that both hold."""
    best = 0
    row = [0] * (len(second) + 1)
    for item in first:
        before = 0
        for place, other in enumerate(second, 1):
            above, row[place] = row[place], before + 1 if item == other else 0
            before = above
            best = max(best, row[place])
    return best


def exact_match(answer: str, reference: str) -> bool:
    """Whether an answer equals a reference in normal form."""
    tokens = chinese_tokens if is_chinese(reference) or is_chinese(answer) else english_tokens
    found, wanted = tokens(answer), tokens(reference)
    if not wanted:  # a reference of marks only, such as "."
        return answer.strip() == reference.strip()
    return "".join(found) == "".join(wanted) if tokens is chinese_tokens else found == wanted


def f1(answer: str, reference: str, chinese: bool | None = None) -> float:
    """F1 of the tokens in common.

    Args:
        answer: What was answered.
        reference: What is accepted.
        chinese: Which of the two ways; None decides by the letters of both.
    """
    if chinese is None:
        chinese = is_chinese(reference) or is_chinese(answer)
    tokens = chinese_tokens if chinese else english_tokens
    found, wanted = tokens(answer), tokens(reference)
    if not found or not wanted:
        return float(found == wanted)
    common = longest_common(found, wanted) if chinese else (Counter(found) & Counter(wanted)).total()
    return 2 * common / (len(found) + len(wanted))


@dataclass(frozen=True)
class AnswerScores:
    """Scores of a set of answers, in percent.

    Attributes:
        exact: Exact match with any of the references.
        f1: Mean of the best F1 over the references.
        count: Number of questions.
        error: Standard error of the mean F1.
    """

    exact: float
    f1: float
    count: int
    error: float


def score_answers(answers: Sequence[str], references: Sequence[Sequence[str]], chinese: bool) -> AnswerScores:
    """Scores answers against lists of accepted ones; no references means that "" is right.

    Raises:
        ValueError: When there are not as many answers as lists, or none at all.
    """
    if len(answers) != len(references) or not answers:
        raise ValueError(f"{len(answers)} answers and {len(references)} lists of references")
    exact, overlap = [], []
    for answer, accepted in zip(answers, references, strict=True):
        if not accepted:
            exact.append(not answer)
            overlap.append(float(not answer))
        else:
            exact.append(any(exact_match(answer, reference) for reference in accepted))
            overlap.append(max(f1(answer, reference, chinese) for reference in accepted))
    spread = float(np.std(overlap) / np.sqrt(len(overlap)))
    return AnswerScores(
        100 * float(np.mean(exact)), 100 * float(np.mean(overlap)), len(answers), 100 * spread
    )
