"""What the members of a mixture say of a stream of tokens, and the mixer that is fitted on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from . import tree_mixing
from .mixing_weights import ADAPTATION, adaptive_nats, fit_gate, mixture_nats
from .side_by_side import side_by_side
from .tree_mixing import FIRST_ROWS, ROWS, SETS, STANDINGS

CACHE = "cache"
"""Name of the cache over hidden vectors among the inputs."""
PASSES = 3
"""Times that the mixer reads the held-out text."""
RATE, FINAL_RATE = 0.03, 0.002
"""Learning rates at its beginning; they fall evenly, to nothing at the end of the last pass."""
LEARNING_RATE, LEARNING_FINAL_RATE = 0.006, 0.0005
"""Learning rates while text is scored and learned from."""
PARTS = 3
"""Contiguous parts of the held-out text for deciding between the two ways to mix."""
LEAST_DECISIONS = 2_000
"""Decisions below which no mixer is fitted."""
DECIDING_TOKENS = 6_000
"""Tokens on which a mixer that wins is chosen without a look at the rest; it learns more from more text, the weights by
bucket hardly do."""


class Mixer(NamedTuple):
    """Weights of a mixer; see `tree_mixing`."""

    weights: npt.NDArray[np.float64]
    """Of the inputs and the bias (ROWS, I + 1)."""
    sets: npt.NDArray[np.float64]
    """Of the five sets (STANDINGS, SETS)."""


@dataclass(frozen=True)
class Evidence:
    """What is known before each token of a stream.

    Attributes:
        members: Names of the members.
        nats: Nats of every token under each member, float64 (M, N).
        known: Contexts that the first n-gram member knows before each token, int64 (N,); zeros without one.
        inputs: Who each of the log-odds comes from: members in order, then the cache; empty when there are none.
        odds: Log-odds of every decision under each input, float32 (D, I).
        bits: The decisions, int8 (D,).
        rows: Rows of the mixer's weights, int32 (D, SETS).
        lengths: Decisions of each token, int64 (N,).
        selectors: Sets of weights that each input takes part in choosing.
        cache_of: The member whose hidden vectors the cache looks at.
        bands: Band of the first neural member's entropy before each token, int8 (N,); of the whole stream only.
        support: What the cache adds up at each decision, float64 (D,); of the whole stream only.
    """

    members: tuple[str, ...]
    nats: npt.NDArray[np.float64]
    known: npt.NDArray[np.int64]
    inputs: tuple[str, ...] = ()
    odds: npt.NDArray[np.float32] | None = None
    bits: npt.NDArray[np.int8] | None = None
    rows: npt.NDArray[np.int32] | None = None
    lengths: npt.NDArray[np.int64] | None = None
    selectors: tuple[tuple[str, tuple[int, ...]], ...] = ()
    cache_of: str = ""
    bands: npt.NDArray[np.int8] | None = None
    support: npt.NDArray[np.float64] | None = None

    def tokens(self, start: int, stop: int) -> Evidence:
        """Returns that of the tokens from `start` to before `stop`."""
        part = replace(self, nats=self.nats[:, start:stop], known=self.known[start:stop])
        if self.odds is None or self.bits is None or self.rows is None or self.lengths is None:
            return part
        low, high = int(self.lengths[:start].sum()), int(self.lengths[:stop].sum())
        return replace(
            part, odds=self.odds[low:high], bits=self.bits[low:high], rows=self.rows[low:high],
            lengths=self.lengths[start:stop],
        )  # fmt: skip

    def without(self, *names: str) -> Evidence:
        """Returns it without some inputs: their log-odds are left out, and they choose no weights."""
        assert self.odds is not None and self.rows is not None
        kept = [place for place, name in enumerate(self.inputs) if name not in names]
        rows = self.rows.copy()
        for name, sets in self.selectors:
            if name in names:
                for number in sets:
                    rows[:, number] = FIRST_ROWS[number]
        return replace(
            self, inputs=tuple(self.inputs[place] for place in kept), rows=rows,
            odds=np.ascontiguousarray(self.odds[:, kept]),
        )  # fmt: skip


def new_mixer(inputs: tuple[str, ...]) -> Mixer:
    """Returns the mixer that averages the members' log-odds and leaves the cache out."""
    members = [name != CACHE for name in inputs]
    weights = np.zeros((ROWS, len(inputs) + 1))
    weights[:, :-1] = np.array(members) / max(sum(members), 1)
    return Mixer(weights, np.full((STANDINGS, SETS), 1.0 / SETS))


def fit_mixer(evidence: Evidence) -> Mixer:
    """Fits a mixer on text that no member was trained on: `PASSES` times over it by stochastic gradient descent."""
    mixer = new_mixer(evidence.inputs)
    for left in range(PASSES, 0, -1):
        _read(evidence, mixer, RATE * left / PASSES, FINAL_RATE * left / PASSES, fall=1.0 / left)
    return mixer


def mixed_nats(evidence: Evidence, mixer: Mixer, learning: bool) -> npt.NDArray[np.float64]:
    """Nats of every token (N,) under a mixer, which stays as it is.

    Args:
        evidence: What the members say.
        mixer: The mixer.
        learning: Let a copy of it learn from each token after predicting it.
    """
    if not learning:
        return _read(evidence, mixer, 0.0, 0.0)
    return learn_mixer(evidence, Mixer(mixer.weights.copy(), mixer.sets.copy()))


def learn_mixer(evidence: Evidence, mixer: Mixer) -> npt.NDArray[np.float64]:
    """Nats of every token (N,) under a mixer that learns from each after predicting it, in place."""
    return _read(evidence, mixer, LEARNING_RATE, LEARNING_FINAL_RATE)


def mixer_pays(evidence: Evidence, num_buckets: int) -> bool:
    """Whether a mixer gives held-out tokens fewer nats than weights by bucket do.

    Each of `PARTS` contiguous parts is held out in turn.

    Args:
        evidence: What the members say of the held-out text.
        num_buckets: Number of buckets of the weights; see `mixing_weights.fit_gate`.
    """
    if evidence.bits is None or len(evidence.bits) < LEAST_DECISIONS:
        return False
    tokens = len(evidence.known)
    if tokens > DECIDING_TOKENS and mixer_pays(evidence.tokens(0, DECIDING_TOKENS), num_buckets):
        return True

    def needed(start: int, stop: int) -> tuple[float, float]:
        """Nats of the tokens of a part with either way, fitted on the others."""
        held = evidence.tokens(start, stop)
        kept = joined(evidence.tokens(0, start), evidence.tokens(stop, tokens))
        gate = fit_gate(kept.nats, kept.known, num_buckets)
        linear = float(mixture_nats(held.nats, gate[held.known].T).sum())
        return linear, float(mixed_nats(held, fit_mixer(kept), False).sum())

    folds = np.array_split(np.arange(tokens), PARTS)
    parts = side_by_side([partial(needed, int(fold[0]), int(fold[-1]) + 1) for fold in folds])
    return sum(logistic - linear for linear, logistic in parts) < 0.0


def joined(first: Evidence, second: Evidence) -> Evidence:
    """Returns that of two stretches, one after the other."""
    assert first.odds is not None and first.bits is not None and first.rows is not None
    assert second.odds is not None and second.bits is not None and second.rows is not None
    assert first.lengths is not None and second.lengths is not None
    return replace(
        first,
        nats=np.concatenate([first.nats, second.nats], 1),
        known=np.concatenate([first.known, second.known]),
        odds=np.concatenate([first.odds, second.odds]),
        bits=np.concatenate([first.bits, second.bits]),
        rows=np.concatenate([first.rows, second.rows]),
        lengths=np.concatenate([first.lengths, second.lengths]),
    )


def mixer_gains(held_out: Evidence, scored: Evidence, learning: bool) -> dict[str, float]:
    """Nats that each input of a mixer saves: those without it, the weights fitted anew, less those with all.

    Without the neural member whose hidden vectors the cache looks at there is no cache either.

    Args:
        held_out: What the mixer is fitted on.
        scored: What it is scored on.
        learning: Whether it learns on while it scores; both must have been read in this way.
    """
    names = tuple(dict.fromkeys(held_out.inputs))
    left_out = [(name, CACHE) if name == held_out.cache_of else (name,) for name in names]
    left_out = [some for some in left_out if not set(names) - set(some) <= {CACHE}]

    def needed(some: tuple[str, ...]) -> float:
        fitted = fit_mixer(held_out.without(*some) if some else held_out)
        return float(mixed_nats(scored.without(*some) if some else scored, fitted, learning).sum())

    whole, *others = side_by_side([partial(needed, some) for some in ((), *left_out)])
    return {some[0]: nats - whole for some, nats in zip(left_out, others, strict=True)}


def mixer_shares(evidence: Evidence, mixer: Mixer) -> dict[str, float]:
    """Mean weight of each input of a mixer over a stream, scaled to sum to 1; the cache's senses are added up."""
    assert evidence.rows is not None
    sets = mixer.sets[evidence.rows[:, 0] // tree_mixing.DEPTHS]
    mean = np.zeros(mixer.weights.shape[1])
    for k in range(SETS):
        mean += (sets[:, k, None] * mixer.weights[evidence.rows[:, k]]).mean(0)
    shares: dict[str, float] = {}
    for name, share in zip(evidence.inputs, mean, strict=False):  # the bias comes last
        shares[name] = shares.get(name, 0.0) + float(share)
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items()} if total > 0 else shares


def linear_gains(held_out: Evidence, scored: Evidence, num_buckets: int, adaptive: bool) -> dict[str, float]:
    """Nats that each member of an average saves; see `mixer_gains`."""
    members = range(len(scored.nats))

    def needed(kept: list[int]) -> float:
        gate = fit_gate(held_out.nats[kept], held_out.known, num_buckets)
        if adaptive:
            return float(adaptive_nats(scored.nats[kept], scored.known, gate, ADAPTATION).sum())
        return float(mixture_nats(scored.nats[kept], gate[scored.known].T).sum())

    whole = needed(list(members))
    return {
        scored.members[index]: needed([other for other in members if other != index]) - whole
        for index in members
    }


def _read(
    evidence: Evidence, mixer: Mixer, rate: float, final_rate: float, fall: float = 0.0
) -> npt.NDArray[np.float64]:
    assert evidence.odds is not None and evidence.lengths is not None
    nats = tree_mixing.mix_paths(evidence.odds, evidence.bits, evidence.rows, *mixer, rate, final_rate, fall)
    ends = np.cumsum(evidence.lengths)
    sums = np.append(0.0, np.cumsum(nats))[np.append(0, ends)]
    result: npt.NDArray[np.float64] = np.diff(sums)
    return result
