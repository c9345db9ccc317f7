"""The recommendation of a comparison, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from wenmo.comparison.results import FamilyResult, PairResult

SURE = 0.95
"""Probability from which on the extrapolation overrules what was measured."""
LIKELY = 0.5
"""Below this the extrapolation speaks against what was measured."""
FAR = 30.0
"""A prediction for more than this many times the length of the trials is called a guess."""


@dataclass(frozen=True)
class Recommendation:
    """What to train.

    Attributes:
        family: The architecture.
        decided: Whether it is better than all others, by the test or by the extrapolation.
        sentence: Why, in words.
    """

    family: str
    decided: bool
    sentence: str


def recommend(
    families: Sequence[FamilyResult],
    pairs: Sequence[PairResult],
    length: str,
    target: str,
    ngram: float | None = None,
    early: Sequence[str] = (),
    reach: float = 1.0,
) -> Recommendation:
    """Says what to train.

    Measured scores decide, unless the extrapolation is sure that another family overtakes. Families that the test
    cannot tell from the best one are named; then the best one is a choice, not a finding.

    Args:
        families: The families, best first.
        pairs: Their pairs.
        length: Length of the trials, for people.
        target: Length of the training that was predicted, for people; "" where none was.
        ngram: Score of the n-gram model alone, bits per byte, if it is to be spoken of.
        early: Families that have hardly begun to learn; with any, nothing is decided.
        reach: Length of the training that was predicted, as a multiple of that of the trials.
    """
    found = _recommend(families, pairs, length, target)
    if early:
        warning = (
            f"Too early to tell: after {length} {joined(early)} {'has' if len(early) == 1 else 'have'} hardly learned "
            "more than how frequent each token is, and nothing is predicted from that. Give more --budget, or compare "
            f"fewer families. {found.sentence}"
        )
        found = Recommendation(found.family, False, warning)
    elif target and reach > FAR:
        guess = (
            f" The curves reach {reach:.0f} times as far as they were measured: what they say of {target} is a guess, "
            "and more --budget makes it a better one."
        )
        found = replace(found, sentence=found.sentence + guess)
    if ngram is None or ngram >= families[0].score.bits_per_byte:
        return found
    hint = f" After so short a time the n-gram model alone is ahead of all, with {ngram:.3f}; --arch auto mixes both."
    return replace(found, sentence=found.sentence + hint)


def _recommend(
    families: Sequence[FamilyResult], pairs: Sequence[PairResult], length: str, target: str
) -> Recommendation:
    best = families[0]
    tied = [
        pair.worse if pair.better == best.name else pair.better
        for pair in pairs
        if best.name in (pair.better, pair.worse) and not pair.distinguishable
    ]
    measured = _measured(best, families[1], tied, pairs, length)
    if best.predicted is None:
        return Recommendation(best.name, not tied, measured + _practical(best, families, tied))
    later = max(families, key=lambda family: family.best_probability or 0.0)
    chance = later.best_probability or 0.0
    if later.name != best.name and chance >= SURE:
        sentence = (
            f"{later.name} will be best after {target}, with a probability of {chance:.0%}: {_prediction(later)}. "
            f"After {length} it is still behind: {measured}"
        )
        return Recommendation(later.name, True, sentence)
    own = best.best_probability or 0.0
    if own >= SURE and tied:
        outlook = f" For {target} the curves favour {best.name} with a probability of {own:.0%}: {_prediction(best)}."
    elif own >= LIKELY:
        outlook = f" After {target} it is likely still ahead ({own:.0%}): {_prediction(best)}."
    else:
        outlook = (
            f" Which is best after {target} is open: the curves give {later.name} {chance:.0%} "
            f"({_prediction(later)}) and {best.name} {own:.0%} ({_prediction(best)})."
            if later.name != best.name
            else f" Which is best after {target} is open: {best.name} has the best chance, {own:.0%}."
        )
    decided = (not tied and own >= LIKELY) or own >= SURE
    return Recommendation(best.name, decided, measured + outlook + _practical(best, families, tied))


def _measured(
    best: FamilyResult, second: FamilyResult, tied: list[str], pairs: Sequence[PairResult], length: str
) -> str:
    pair = next(pair for pair in pairs if {pair.better, pair.worse} == {best.name, second.name})
    share = pair.difference.bits_per_byte / second.score.bits_per_byte
    score = f"{best.score.bits_per_byte:.3f} bits per byte after {length}"
    ahead = f"{share:.1%} below {second.name}, corrected {shown_p(pair.p_holm)}"
    if not tied:
        return f"{best.name} is best: {score}, {ahead}."
    return (
        f"Not distinguishable at this budget: {joined([best.name, *tied])}. {best.name} has the lowest score, "
        f"{score} ({ahead}), which may be chance."
    )


def _practical(best: FamilyResult, families: Sequence[FamilyResult], tied: list[str]) -> str:
    """What else may decide between families that are as good."""
    equal = [family for family in families if family.name in (best.name, *tied) and family.written_per_second]
    if len(equal) < 2:
        return ""
    fastest = max(equal, key=lambda family: family.written_per_second or 0.0)
    slowest = min(equal, key=lambda family: family.written_per_second or 0.0)
    ratio = (fastest.written_per_second or 0.0) / max(slowest.written_per_second or 0.0, 1e-9)
    if ratio < 1.5:
        return " They write about equally fast; more --budget or --seeds may tell them apart."
    return (
        f" Of these {fastest.name} writes {ratio:.1f} times as fast as {slowest.name}; "
        "more --budget or --seeds may tell them apart."
    )


def _prediction(family: FamilyResult) -> str:
    assert family.predicted is not None
    later = family.predicted
    return f"predicted {later.bits_per_byte:.3f}, 95% between {later.low:.3f} and {later.high:.3f}"


def shown_p(p: float) -> str:
    """A p-value for people."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def joined(names: Sequence[str]) -> str:
    """Names as a list in a sentence."""
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]


def plan_sentence(families: Sequence[str], length: str, shares: Sequence[float]) -> str:
    """What will be trained, before it begins.

    Args:
        families: Their names.
        length: Length of the longest trials.
        shares: Length of each round as a share of the longest.
    """
    full = sum(share == 1.0 for share in shares)
    shorter = "".join(f" and once for {share:.0%} of that" for share in shares if share < 1.0)
    return f"{len(families) * len(shares)} trainings: each of {joined(families)} {full} times for {length}{shorter}"
