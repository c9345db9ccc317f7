"""Scoring a translator on held-out pairs beside the nearest training pair, and saying what that means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wenmo.progress import track
from wenmo.seq2seq.holding_out import by_source
from wenmo.seq2seq.nearest import NearestPair
from wenmo.seq2seq.pairs import CHINESE, Pair
from wenmo.seq2seq.scores import SAME_OUTPUT, score_translations
from wenmo.seq2seq.translator import Translation, Translator
from wenmo.text.scripts import han_share

NEAREST_PAIRS = 200_000
"""The baseline looks through this many training pairs at most, evenly spread."""


@dataclass(frozen=True)
class Judged:
    """What a translator did on the test pairs, one way.

    Attributes:
        way: Such as `en-zh`.
        backward: From the second side to the first.
        scores: See `score_translations`; `complete` is the share that ended by itself.
        baseline: Scores of the nearest training pair.
        signatures: How the scores were made.
        sources: The texts.
        references: Their right translations.
        outputs: What the translator wrote.
    """

    way: str
    backward: bool
    scores: dict[str, float]
    baseline: dict[str, float]
    signatures: dict[str, str]
    sources: list[str]
    references: list[list[str]]
    outputs: list[Translation]


def judge(
    translator: Translator, train: Sequence[Pair], test: Sequence[Pair], progress: bool = True
) -> list[Judged]:
    """Scores every way that was learned; see `Judged`."""
    judged: list[Judged] = []
    for backward in translator.codec.backwards:
        sources, references = by_source(test, backward)
        outputs = translator.translate(sources, backward=backward, progress=progress)
        chinese = han_share("\n".join(row[0] for row in references)) > CHINESE
        texts = [output.text for output in outputs]
        scored = score_translations(sources, texts, references, chinese=chinese)
        complete = sum(output.complete for output in outputs) / max(len(outputs), 1)
        some = train[:: max(1, -(-len(train) // NEAREST_PAIRS))]
        first, second = [p.source for p in some], [p.target for p in some]
        nearest = NearestPair(second, first) if backward else NearestPair(first, second)
        with track("scoring the nearest training pair", len(sources), "sentences", progress) as shown:
            copies = []
            for source in sources:
                copies.append(nearest.translate(source))
                shown.advance()
        baseline = score_translations(sources, copies, references, chinese=chinese).scores
        names = translator.codec.languages[::-1] if backward else translator.codec.languages
        judged.append(
            Judged(
                "-".join(names),
                backward,
                {**scored.scores, "complete": round(complete, 4)},
                baseline,
                scored.signatures,
                sources,
                references,
                outputs,
            )
        )
    return judged


def merged(judged: Sequence[Judged], baseline: bool = False) -> dict[str, float]:
    """Scores of all ways: their means, and with several ways each under `SCORE_WAY`."""
    rows = [(j.way, j.baseline if baseline else j.scores) for j in judged]
    scores = {name: round(sum(row[name] for _, row in rows) / len(rows), 4) for name in rows[0][1]}
    if len(rows) > 1:
        scores |= {f"{name}_{way}": row[name] for way, row in rows for name in ("chrf", "bleu")}
    return scores


def verdict(judged: Sequence[Judged], train: int) -> str:
    """How good the translator is, in one or two sentences."""
    scores, baseline = merged(judged), merged(judged, baseline=True)
    count = sum(len(j.sources) for j in judged)
    said = (
        f"chrF {scores['chrf']:.1f} and BLEU {scores['bleu']:.1f} on {count:,} sentences it has not seen; copying the "
        f"translation of the most similar training sentence gives {baseline['chrf']:.1f} and {baseline['bleu']:.1f}."
    )
    if scores["unique_outputs"] < SAME_OUTPUT:
        return (
            f"{said} Warning: it gives the same outputs again and again ({scores['unique_outputs']:.0%} are "
            "different), so it has not learned to translate; train longer or give more pairs."
        )
    if scores["chrf"] <= baseline["chrf"]:
        return f"{said} It is no better than looking up, so do not rely on it; it needs more pairs or a longer budget."
    if train < 20_000:
        return f"{said} {train:,} pairs are few: more of them would help most, then --from a model of your raw text."
    return f"{said} A longer budget or more pairs would help most."
