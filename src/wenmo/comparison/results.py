"""What a comparison returns, and how it is worked out from the trials."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from wenmo.comparison.experiment import Found
from wenmo.comparison.extrapolation import Curve, fit_curve
from wenmo.comparison.testing import Verdict, judge
from wenmo.comparison.trials import Candidate, Judge, Trial

Floats = npt.NDArray[np.float64]
Candidates = Mapping[tuple[str, float], Candidate]
"""(family, share) -> how it was trained."""


BEGUN = 0.3
"""Share of the way from the frequencies of tokens to the n-gram model from which on a family has begun to learn."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, protected_namespaces=())


class Interval(_Frozen):
    """A score and its central 95 % interval, bits per byte."""

    bits_per_byte: float
    """The middle."""
    low: float
    """Lower end."""
    high: float
    """Upper end."""


class Point(_Frozen):
    """A finished training."""

    seconds: float
    """Its length."""
    bits_per_byte: float
    """Its score."""


class FamilyResult(_Frozen):
    """One architecture."""

    name: str
    """The architecture."""
    score: Interval
    """Mean over the seeds at full length."""
    seeds: list[float]
    """Bits per byte of each seed."""
    with_ngram: float
    """Bits per byte in a mixture with the n-gram model, mean over the seeds."""
    predicted: Interval | None
    """Score after the longer training; None when none was asked for."""
    best_probability: float | None
    """Probability that it is the best of all after the longer training, by the extrapolation."""
    points: list[Point]
    """All its trainings."""
    parameters: int
    """Parameters of the model in the longest trials."""
    memory: float
    """Bytes that training it needs, estimated."""
    epochs: float
    """Passes over the text in the longest trials."""
    trained_per_second: float
    """Tokens trained on in a second."""
    scored_per_second: float
    """Tokens scored in a second."""
    written_per_second: float | None
    """Tokens written in a second, one text at a time."""


class PairResult(_Frozen):
    """Two architectures."""

    better: str
    """The one with the lower score."""
    worse: str
    """The other one."""
    difference: Interval
    """By how much it is lower."""
    p: float
    """Two-sided p-value."""
    p_holm: float
    """The same, corrected by Holm for all pairs."""
    distinguishable: bool
    """Whether `p_holm` is below 0.05."""


def family_results(
    found: Found,
    candidates: Candidates,
    block_bytes: Floats,
    target: float | None,
) -> tuple[list[FamilyResult], list[PairResult], Verdict, dict[str, Curve]]:
    """Works everything out.

    Args:
        found: The trials.
        candidates: How each family was trained.
        block_bytes: UTF-8 bytes of each block of held-out text (B,).
        target: Seconds of the training to predict; None for no prediction.

    Returns:
        The families, best first; their pairs; the test; the curve of each family.
    """
    names = found.names
    verdict = judge(_nats(found, names), block_bytes)
    curves = {name: _curve(found, name, candidates, block_bytes, verdict) for name in names}
    draws = {name: curve.draws(target) for name, curve in curves.items()} if target else {}
    wins = _wins(draws)
    families = []
    for number, name in enumerate(names):
        full, candidate = found.longest(name), candidates[name, 1.0]
        written = [trial.written_per_second for trial in full if trial.written_per_second is not None]
        predicted = Interval(**_named(curves[name].at(target))) if target else None
        families.append(
            FamilyResult(
                name=name,
                score=Interval(
                    bits_per_byte=float(verdict.means[number]),
                    low=float(verdict.low[number]),
                    high=float(verdict.high[number]),
                ),
                seeds=[_bpb(trial.nats, block_bytes) for trial in full],
                with_ngram=float(np.mean([_bpb(trial.mixed_nats, block_bytes) for trial in full])),
                predicted=predicted,
                best_probability=wins.get(name),
                points=[
                    Point(seconds=trial.seconds, bits_per_byte=_bpb(trial.nats, block_bytes))
                    for trial in found.trials
                    if trial.name == name
                ],
                parameters=candidate.parameters,
                memory=candidate.memory,
                epochs=_median(full, "epochs"),
                trained_per_second=float(
                    np.median([trial.tokens / max(trial.seconds, 1e-9) for trial in full])
                ),
                scored_per_second=_median(full, "scored_per_second"),
                written_per_second=float(np.median(written)) if written else None,
            )
        )
    pairs = [_pair(verdict, number, names) for number in range(len(verdict.differences))]
    order = sorted(families, key=lambda family: family.score.bits_per_byte)
    return order, pairs, verdict, curves


def early_families(found: Found, scored: Judge) -> list[str]:
    """Families that have hardly learned more than how frequent each token is, by the score without a mixture.

    The n-gram model says how far one can get on this text, in Chinese a shorter way than in English. Networks stay near
    the frequencies for a while before they fall steeply, recurrent ones longest, so that neither the order at that
    stage nor a curve through it says anything about later (docs/lab.md, 2026-11-25).
    """
    ngram = float(scored.ngram.sum() / np.log(2.0) / scored.block_bytes.sum())
    limit = scored.frequencies - BEGUN * max(scored.frequencies - ngram, 0.0)
    scores = {
        name: np.mean([_bpb(trial.nats, scored.block_bytes) for trial in found.longest(name)])
        for name in found.names
    }
    return [name for name, score in scores.items() if score > limit]


def _nats(found: Found, names: list[str]) -> Floats:
    return np.array([[trial.nats for trial in found.longest(name)] for name in names])


def _bpb(nats: list[float], block_bytes: Floats) -> float:
    return float(np.sum(nats) / np.log(2.0) / block_bytes.sum())


def _curve(found: Found, name: str, candidates: Candidates, block_bytes: Floats, verdict: Verdict) -> Curve:
    trials = [trial for trial in found.trials if trial.name == name]
    lengths = _lengths(trials, candidates)
    scores = np.array([_bpb(trial.nats, block_bytes) for trial in trials])
    return fit_curve(lengths, scores, noise=verdict.seed_noise, freedom=verdict.freedom)


def _lengths(trials: list[Trial], candidates: Candidates) -> Floats:
    """Seconds that each trial was given; where steps or epochs decided, the median of those of its length."""
    found = []
    for trial in trials:
        given = candidates[trial.name, trial.share].plan.seconds
        same = [other.seconds for other in trials if other.share == trial.share]
        found.append(float(np.median(same)) if given is None else given)
    return np.array(found)


def _median(trials: list[Trial], field: str) -> float:
    return float(np.median([getattr(trial, field) for trial in trials]))


def _wins(draws: Mapping[str, Floats]) -> dict[str, float]:
    """Probability of each family to have the lowest score, draws being independent between families."""
    if not draws:
        return {}
    most = max(len(values) for values in draws.values())
    rng = np.random.default_rng(0)
    table = np.stack([rng.choice(values, most) for values in draws.values()])
    best = table.argmin(0)
    return {name: float((best == number).mean()) for number, name in enumerate(draws)}


def _named(values: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip(("bits_per_byte", "low", "high"), values, strict=True))


def _pair(verdict: Verdict, number: int, names: list[str]) -> PairResult:
    found = verdict.differences[number]
    first, second = names[found.first], names[found.second]
    turned = found.mean > 0
    low, high = (found.low, found.high) if turned else (-found.high, -found.low)
    return PairResult(
        better=second if turned else first,
        worse=first if turned else second,
        difference=Interval(bits_per_byte=abs(found.mean), low=low, high=high),
        p=found.p,
        p_holm=found.p_holm,
        distinguishable=found.distinguishable,
    )


class ComparisonResult(_Frozen):
    """The outcome of `wenmo compare`; its fields are the JSON that `--json` prints."""

    comparison: str
    """Folder of the result."""
    report: str
    """Path of report.html."""
    seconds: float
    """Wall-clock time of the comparison."""
    budget: float | None
    """Seconds that were given; None when steps or epochs were."""
    trial: str
    """Length of the longest trainings in words."""
    trial_seconds: float | None
    """Seconds that each of the longest trainings was given; None when steps or epochs were."""
    target: str | None
    """Budget of the training that was predicted; None where none was."""
    target_seconds: float | None
    """Seconds that are left of it for training one neural model."""
    recommended: str
    """The architecture to train."""
    decided: bool
    """Whether it is better than all others by the test or the extrapolation, not only by chance."""
    recommendation: str
    """The recommendation in words."""
    families: list[FamilyResult]
    """The architectures, best first."""
    pairs: list[PairResult]
    """All pairs of them."""
    test: str
    """How the pairs were tested."""
    ngram: float
    """Bits per byte of the frozen n-gram model on the same text."""
    bytes: int
    """UTF-8 bytes of held-out text that were scored."""
    failed: dict[str, str]
    """Families that were left out, with the reason."""
    corpus: str
    """The prepared corpus, to train on."""
