"""Scores of translations, by sacreBLEU, with the signatures that say how they were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wenmo.errors import ResourceError

SAME_OUTPUT = 0.5
"""Share of different outputs below which a model is said to give the same output again and again."""


@dataclass(frozen=True)
class TranslationScores:
    """Scores of a set of translations.

    Attributes:
        scores: `bleu`, `chrf` (0 to 100), and `unique_outputs` (0 to 1).
        signatures: How BLEU and chrF were made.
    """

    scores: dict[str, float]
    signatures: dict[str, str]


def unique_ratio(sources: Sequence[str], outputs: Sequence[str]) -> float:
    """Different outputs as a share of different sources, at most 1: near 0 says "always the same output"."""
    return min(len(set(outputs)) / max(len(set(sources)), 1), 1.0)


def score_translations(
    sources: Sequence[str], outputs: Sequence[str], references: Sequence[Sequence[str]], *, chinese: bool
) -> TranslationScores:
    """Scores translations.

    Args:
        sources: The texts.
        outputs: Their translations.
        references: One or more right translations of each text.
        chinese: Whether the target is Chinese: BLEU then counts characters (`tokenize=zh`).

    Returns:
        BLEU (Papineni et al. 2002) and chrF (Popović 2015) as sacreBLEU makes them (Post 2018), and the share of
        different outputs.

    Raises:
        ResourceError: When sacreBLEU is not installed.
    """
    metrics = _metrics()
    most = max(map(len, references), default=1)
    streams = [[row[i] if i < len(row) else None for row in references] for i in range(most)]
    bleu, chrf = metrics.BLEU(tokenize="zh" if chinese else "13a"), metrics.CHRF()
    scores = {
        "bleu": round(bleu.corpus_score(list(outputs), streams).score, 4),
        "chrf": round(chrf.corpus_score(list(outputs), streams).score, 4),
        "unique_outputs": round(unique_ratio(sources, outputs), 4),
    }
    return TranslationScores(scores, {"bleu": str(bleu.get_signature()), "chrf": str(chrf.get_signature())})


def chrf(outputs: Sequence[str], references: Sequence[str]) -> float:
    """Returns chrF (0 to 100) against one reference each.

    Raises:
        ResourceError: When sacreBLEU is not installed.
    """
    return float(_metrics().CHRF().corpus_score(list(outputs), [list(references)]).score)


def _metrics() -> Any:
    try:
        from sacrebleu import metrics
    except ImportError as error:
        raise ResourceError("scores of translations need sacrebleu: pip install 'wenmo[tasks]'") from error
    return metrics
