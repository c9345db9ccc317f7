"""How much of a text stands in a reference: BLEU on words and chrF on characters, as sacreBLEU computes them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

BLEU_ORDER = 4
CHRF_ORDER = 6
CHRF_BETA = 2.0
"""Weight of recall in chrF2."""

Units = Sequence[str]


def bleu(units: Units, references: Sequence[Units]) -> float:
    """Sentence BLEU-4 with exponential smoothing, 0 to 1 (Papineni et al. 2002; Chen & Cherry 2014, method 3).

    The same as sacreBLEU's `sentence_bleu` (smoothing `exp`, effective order) on the same tokens.

    Args:
        units: Words of the text.
        references: Words of each reference.
    """
    if not units or not references:
        return 0.0
    logs: list[float] = []
    smoothing = 1.0
    matched = False
    for n in range(1, BLEU_ORDER + 1):
        grams = Counter(_grams(units, n))
        total = grams.total()
        if not total:
            break
        most: Counter[tuple[str, ...]] = Counter()
        for reference in references:
            most |= Counter(_grams(reference, n))
        correct = (grams & most).total()
        matched = matched or bool(correct)
        if not correct:
            smoothing *= 2.0
        logs.append(math.log(correct / total if correct else 1.0 / (smoothing * total)))
    if not matched:
        return 0.0
    length = min((abs(len(reference) - len(units)), len(reference)) for reference in references)[1]
    brevity = 1.0 if len(units) >= length else math.exp(1.0 - length / len(units))
    return brevity * math.exp(sum(logs) / len(logs))


def chrf(texts: Sequence[str], references: Sequence[str]) -> float:
    """Corpus chrF2, 0 to 100 (Popović 2015): character n-grams up to 6, white space left out.

    Args:
        texts: Written texts.
        references: The reference of each.

    Raises:
        ValueError: When there are not as many references as texts.
    """
    if len(texts) != len(references):
        raise ValueError(f"{len(texts)} texts have {len(references)} references")
    scores: list[tuple[float, float]] = []
    pairs = [("".join(a.split()), "".join(b.split())) for a, b in zip(texts, references, strict=True)]
    for n in range(1, CHRF_ORDER + 1):
        counts = [(Counter(_grams(a, n)), Counter(_grams(b, n))) for a, b in pairs]
        # A text whose reference is too short for an n-gram is not judged by it.
        own, wanted = sum(a.total() for a, b in counts if b), sum(b.total() for _, b in counts)
        if own and wanted:
            correct = sum((a & b).total() for a, b in counts)
            scores.append((correct / own, correct / wanted))
    if not scores:
        return 0.0
    precision = sum(p for p, _ in scores) / len(scores)
    recall = sum(r for _, r in scores) / len(scores)
    if precision + recall == 0:
        return 0.0
    factor = CHRF_BETA**2
    return 100.0 * (1 + factor) * precision * recall / (factor * precision + recall)


def _grams(units: Units, n: int) -> list[tuple[str, ...]]:
    return [tuple(units[start : start + n]) for start in range(len(units) - n + 1)]
