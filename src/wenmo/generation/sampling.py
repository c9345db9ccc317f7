"""Samplers: pure functions on the candidates for the next token, composed in the order the settings name.

Names, order and meaning are llama.cpp's. A sampler reweights candidates or drops some, and never drops the
last one. Every function works on one row in numpy, float32: for a vocabulary of some ten thousand tokens the
cost of a call into a tensor library would be larger than that of the arithmetic.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from wenmo.config import SamplingSettings
from wenmo.errors import OptionError
from wenmo.generation.repetition import dry, penalties

Ids = npt.NDArray[np.int64]
Logits = npt.NDArray[np.float32]


class Candidates(NamedTuple):
    """Tokens that may come next: their ids (K,) and unnormalised log-probabilities (K,), in any order."""

    ids: Ids
    logits: Logits


class Vocabulary(Protocol):
    """What sampling needs of a tokenizer."""

    @property
    def token_bytes(self) -> Sequence[bytes]:
        """Bytes of every token id."""


Step = Callable[[Candidates, Ids], Candidates]

_FIRST_GUESS = 128


def probabilities(logits: Logits) -> Logits:
    """Returns softmax(logits), (K,)."""
    weights = np.exp(logits - logits.max())
    return np.asarray(weights / weights.sum(), dtype=np.float32)


def top_k(candidates: Candidates, k: int) -> Candidates:
    """Keeps the k likeliest; 0 keeps all."""
    if k <= 0 or k >= len(candidates.ids):
        return candidates
    return _take(candidates, np.argpartition(candidates.logits, -k)[-k:])


def top_p(candidates: Candidates, p: float) -> Candidates:
    """Keeps the smallest set of likeliest tokens whose probability reaches p (Holtzman et al. 2020)."""
    if p >= 1:
        return candidates
    probs = probabilities(candidates.logits)
    size = min(_FIRST_GUESS, len(probs))
    while True:  # sort only as many of the likeliest as the nucleus needs
        likeliest = np.argpartition(probs, -size)[-size:] if size < len(probs) else np.arange(len(probs))
        order = likeliest[np.argsort(-probs[likeliest], kind="stable")]
        total = np.cumsum(probs[order], dtype=np.float64)
        if size == len(probs) or total[-1] >= p:
            return _take(candidates, order[: int(np.searchsorted(total, p)) + 1])
        size = min(4 * size, len(probs))


def min_p(candidates: Candidates, p: float) -> Candidates:
    """Keeps tokens at least p times as likely as the likeliest (Nguyen et al. 2024)."""
    if p <= 0:
        return candidates
    return _take(candidates, candidates.logits >= candidates.logits.max() + np.float32(math.log(p)))


def typical(candidates: Candidates, p: float) -> Candidates:
    """Keeps the tokens whose surprisal is nearest the entropy, up to probability p (Meister et al. 2023)."""
    if p >= 1:
        return candidates
    probs = probabilities(candidates.logits)
    with np.errstate(divide="ignore"):
        surprisal = -np.log(probs)
    entropy = float(np.sum(probs * np.where(probs > 0, surprisal, 0)))
    order = np.argsort(np.abs(surprisal - entropy), kind="stable")
    total = np.cumsum(probs[order], dtype=np.float64)
    return _take(candidates, order[: int(np.searchsorted(total, p)) + 1])


def temperature(candidates: Candidates, t: float) -> Candidates:
    """Divides the logits by t; 0 keeps only the likeliest token (the lowest id of equals)."""
    if t <= 0:
        best = candidates.ids[candidates.logits == candidates.logits.max()].min()
        return _take(candidates, candidates.ids == best)
    if t == 1:
        return candidates
    scaled = (candidates.logits - candidates.logits.max()).astype(np.float64) / max(t, 1e-9)
    return Candidates(candidates.ids, np.maximum(scaled, np.finfo(np.float32).min).astype(np.float32))


class Sampler:
    """Draws tokens: the steps one after another, then one draw from what they leave.

    Args:
        steps: Functions from candidates and history to candidates.
        banned: Ids that are never drawn.
    """

    def __init__(self, steps: Sequence[Step], banned: Sequence[int] = ()) -> None:
        self._steps = tuple(steps)
        self._banned = np.asarray(banned, dtype=np.int64)

    def candidates(self, logits: Logits, history: Ids) -> Candidates:
        """Returns what may be drawn.

        Args:
            logits: The model's logits, (V,).
            history: Ids of the text so far, prompt included.
        """
        if not np.isfinite(logits.max()):
            raise FloatingPointError("the model's logits are not finite")
        row = Candidates(np.arange(len(logits)), logits)
        keep = logits > -np.inf
        keep[self._banned] = False
        if not keep.all() and keep.any():
            row = _take(row, keep)
        for step in self._steps:
            row = step(row, history)
        return row

    def draw(self, logits: Logits, history: Ids, generator: np.random.Generator) -> int:
        """Returns the id of the next token."""
        row = self.candidates(logits, history)
        if len(row.ids) == 1:
            return int(row.ids[0])
        total = np.cumsum(probabilities(row.logits), dtype=np.float64)
        place = int(np.searchsorted(total, generator.random() * total[-1], side="right"))
        return int(row.ids[min(place, len(row.ids) - 1)])


def random_generators(seed: int | None, n: int) -> list[np.random.Generator]:
    """Returns a random source for each of n samples; sample i of a seed is the same for every n."""
    base = secrets.randbits(64) if seed is None else seed % 2**64
    return [np.random.Generator(np.random.PCG64(np.random.SeedSequence([base, i]))) for i in range(n)]


def build_sampler(settings: SamplingSettings, vocabulary: Vocabulary, banned: Sequence[int] = ()) -> Sampler:
    """Composes the samplers that `settings.samplers` names, in that order.

    Args:
        settings: Options; those explicitly given (`model_fields_set`) must take part.
        vocabulary: Gives the bytes of tokens, for the sequence breakers of DRY.
        banned: Ids that are never drawn.

    Raises:
        OptionError: When a sampler is unknown, or a given option would do nothing.
    """
    check_options(settings)
    s = settings
    token_bytes = vocabulary.token_bytes
    breakers = [text.encode() for text in s.dry_sequence_breakers]

    def repetition_penalties(row: Candidates, history: Ids) -> Candidates:
        factors = (s.repeat_penalty, s.presence_penalty, s.frequency_penalty)
        return Candidates(row.ids, penalties(row.ids, row.logits, history, s.repeat_last_n, *factors))

    def dont_repeat(row: Candidates, history: Ids) -> Candidates:
        growth = (s.dry_multiplier, s.dry_base, s.dry_allowed_length)
        reach = (s.dry_penalty_last_n, breakers)
        return Candidates(row.ids, dry(row.ids, row.logits, history, token_bytes, *growth, *reach))

    available: dict[str, tuple[bool, Step]] = {
        "penalties": (
            s.repeat_last_n != 0 and (s.repeat_penalty, s.presence_penalty, s.frequency_penalty) != (1, 0, 0),
            repetition_penalties,
        ),
        "dry": (
            s.dry_multiplier > 0 and s.dry_penalty_last_n != 0,
            dont_repeat,
        ),
        "top_k": (s.top_k > 0, lambda row, _: top_k(row, s.top_k)),
        "typ_p": (s.typical_p < 1, lambda row, _: typical(row, s.typical_p)),
        "top_p": (s.top_p < 1, lambda row, _: top_p(row, s.top_p)),
        "min_p": (s.min_p > 0, lambda row, _: min_p(row, s.min_p)),
        "temperature": (s.temperature != 1, lambda row, _: temperature(row, s.temperature)),
    }
    return Sampler([step for on, step in (available[name] for name in s.samplers) if on], banned)


_OPTIONS: dict[str, tuple[str, float]] = {  # option: (its sampler, the value that switches it off)
    "repeat_penalty": ("penalties", 1),
    "presence_penalty": ("penalties", 0),
    "frequency_penalty": ("penalties", 0),
    "dry_multiplier": ("dry", 0),
    "top_k": ("top_k", 0),
    "typical_p": ("typ_p", 1),
    "top_p": ("top_p", 1),
    "min_p": ("min_p", 0),
    "temperature": ("temperature", 1),
}
_NEEDS: dict[str, tuple[str, ...]] = {  # option: it does nothing unless one of these is on
    "repeat_last_n": ("repeat_penalty", "presence_penalty", "frequency_penalty"),
    "dry_base": ("dry_multiplier",),
    "dry_allowed_length": ("dry_multiplier",),
    "dry_penalty_last_n": ("dry_multiplier",),
    "dry_sequence_breakers": ("dry_multiplier",),
}
SAMPLING_OPTIONS = (*_OPTIONS, *_NEEDS, "samplers")
"""Names of all options that shape the distribution."""


def sampler_of(option: str) -> str | None:
    """Returns the name of the sampler that an option belongs to, None for an option of no single sampler."""
    if option in _NEEDS:
        option = _NEEDS[option][0]
    return _OPTIONS[option][0] if option in _OPTIONS else None


def check_options(settings: SamplingSettings) -> None:
    """Refuses unknown samplers and given options that would do nothing.

    Raises:
        OptionError: Naming the option and what to do.
    """
    known = list(dict.fromkeys(sampler for sampler, _ in _OPTIONS.values()))
    for name in settings.samplers:
        if name not in known:
            raise OptionError(f"samplers: unknown sampler '{name}'; choose from {', '.join(known)}")
    repeated = {name for name in settings.samplers if settings.samplers.count(name) > 1}
    if repeated:
        raise OptionError(f"samplers: '{min(repeated)}' is named twice")
    given = settings.model_fields_set
    for option, (sampler, off) in _OPTIONS.items():
        if option in given and getattr(settings, option) != off and sampler not in settings.samplers:
            raise OptionError(
                f"{option} has no effect without '{sampler}' in samplers; add it or leave {option} out"
            )
    for option, needs in _NEEDS.items():
        changed = getattr(settings, option) != type(settings).model_fields[option].default
        if option in given and changed and all(getattr(settings, n) == _OPTIONS[n][1] for n in needs):
            raise OptionError(f"{option} has no effect unless {' or '.join(needs)} is set")


def _take(candidates: Candidates, index: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Candidates:
    return Candidates(candidates.ids[index], candidates.logits[index])
