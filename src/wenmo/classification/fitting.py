"""Which linear model: scheme and regularisation by the log-loss of examples that were held out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wenmo.classification.calibration import IMBALANCE, fit_calibration
from wenmo.classification.features import Counter, NgramSettings, matrix
from wenmo.classification.folds import fold_numbers
from wenmo.classification.linear import LinearModel, Scheme, fit_weights, normalised, spread
from wenmo.classification.metrics import log_loss
from wenmo.text import han_share

STRENGTHS: dict[Scheme, tuple[float, ...]] = {
    "nbidf": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
    "nb": (0.3, 1.0, 3.0, 10.0, 30.0, 100.0),
    "idf": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
}
"""Inverse penalties that may be tried for each scheme; see `climb`."""
BEGUN_WITH: dict[Scheme, float] = {"nbidf": 1.0, "nb": 10.0, "idf": 0.3}
"""Where the search begins: what reviews of both languages take."""
CHARACTERS_UP_TO = 10_000_000
"""In texts of more characters than this in all, words alone are counted unless they are Chinese."""
CHOSEN_IN_FOLDS_BELOW = 20_000
"""With fewer examples than this the settings are compared in three folds of all examples, even where some are held
out once and for all: a thousand held-out texts are too few to tell neighbouring settings apart."""
COMPARED_ON = 40_000
"""Of more examples than this, a random selection of as many is learned from while settings are compared."""
MIN_TEXTS_FROM = ((1_000, 2), (200_000, 3), (1_000_000, 5))
"""From so many texts on, an n-gram must stand in so many of them."""


_NEVER = -2


@dataclass(frozen=True)
class Trial:
    """One setting and how it did on held-out examples."""

    scheme: Scheme
    strength: float
    balanced: bool
    log_loss: float
    accuracy: float


@dataclass
class LinearFit:
    """A fitted linear model and the evidence for it.

    Attributes:
        model: Fitted to all examples.
        trials: What was tried.
        chosen: The best of them.
        held_out: Positions of the held-out examples, int64 (H,).
        scores: Scores of the chosen setting on them, each by a model that did not see it, (H, K).
        unbiased: The same, but the setting of each fold is chosen on the other folds only; equal to `scores` where
            there is one fold.
    """

    model: LinearModel
    trials: list[Trial]
    chosen: Trial
    held_out: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    unbiased: npt.NDArray[np.float64]


def default_ngrams(texts: Sequence[str]) -> NgramSettings:
    """Words up to 3 and characters up to 5; words up to 2 in Chinese; words alone in much English."""
    sample = "".join(text[:200] for text in texts[:: max(len(texts) // 500, 1)])
    chinese = han_share(sample) > 0.2
    size = sum(map(len, texts))
    return NgramSettings(
        words=2 if chinese else 3, characters=5 if chinese or size <= CHARACTERS_UP_TO else 0
    )


def fit_linear(
    texts: Sequence[str],
    labels: npt.NDArray[np.int64],
    classes: int,
    folds: npt.NDArray[np.int64],
    *,
    settings: NgramSettings | None = None,
    seconds: float = 600.0,
    seed: int = 0,
    advance: Callable[[str], None] = lambda note: None,
) -> LinearFit:
    """Chooses scheme and regularisation on held-out examples, then fits all examples with them.

    Args:
        texts: Texts.
        labels: Labels (N,).
        classes: K.
        folds: Fold in which each example is held out, -1 for never, int64 (N,).
        settings: Which n-grams; `default_ngrams` when not given.
        seconds: After this time the rest of the trials is left out (at least one is made).
        seed: Of the solver.
        advance: Called with a note before each trial.
    """
    started = time.monotonic()
    settings = settings or default_ngrams(texts)
    counter = Counter(settings)
    chunks = counter.read(texts)
    # The table is made from the texts alone; an n-gram of held-out texts only has no weight in a fold.
    least = max([1, *(least for count, least in MIN_TEXTS_FROM if len(texts) >= count)])
    table = counter.table(chunks, least)
    x = normalised(matrix(chunks, table))
    del chunks
    single = int(folds.max()) == 0
    compared = folds
    if single and len(texts) < CHOSEN_IN_FOLDS_BELOW:
        compared = fold_numbers(texts, labels, 3, seed)
    elif single and len(texts) > COMPARED_ON:
        left_out = np.random.default_rng(seed).permutation(np.flatnonzero(folds < 0))[COMPARED_ON:]
        compared = folds.copy()
        compared[left_out] = _NEVER
    rows = np.flatnonzero(compared >= 0)
    trials: list[Trial] = []
    found: list[npt.NDArray[np.float64]] = []
    truth = labels[rows]

    def attempt(scheme: Scheme, strength: float, balanced: bool) -> Trial:
        advance(f"{scheme}, strength {strength:g}")
        scores = held_out_scores(x, labels, classes, compared, scheme, strength, balanced, seed)
        log_probs = fit_calibration(scores, truth).log_probs(scores)
        accuracy = float((log_probs.argmax(axis=1) == truth).mean())
        trials.append(Trial(scheme, strength, balanced, log_loss(log_probs, truth), accuracy))
        found.append(scores)
        return trials[-1]

    def in_time() -> bool:
        return not trials or time.monotonic() - started < seconds

    for scheme, strengths in STRENGTHS.items():

        def loss_of(strength: float, scheme: Scheme = scheme) -> float:
            return attempt(scheme, strength, False).log_loss

        climb(loss_of, strengths, strengths.index(BEGUN_WITH[scheme]), in_time)
    best = min(range(len(trials)), key=lambda i: trials[i].log_loss)
    counts = np.bincount(labels, minlength=classes)
    if counts.max() >= IMBALANCE * max(counts.min(), 1) and in_time():
        attempt(trials[best].scheme, trials[best].strength, True)
        best = min(range(len(trials)), key=lambda i: trials[i].log_loss)
    chosen = trials[best]
    advance("all examples")
    weights, bias = fit_weights(x, labels, classes, chosen.scheme, chosen.strength, chosen.balanced, seed)
    used = np.abs(weights).max(axis=1, initial=0.0) > 0
    model = LinearModel(settings, classes, table[used], weights[used], bias).quantised()
    held_out = np.flatnonzero(folds >= 0)
    if compared is folds:
        return LinearFit(
            model, trials, chosen, held_out, found[best], unbiased_scores(found, truth, folds[rows])
        )
    scores = held_out_scores(x, labels, classes, folds, chosen.scheme, chosen.strength, chosen.balanced, seed)
    return LinearFit(model, trials, chosen, held_out, scores, scores)


def climb(
    loss_of: Callable[[float], float], values: Sequence[float], begin: int, go_on: Callable[[], bool]
) -> None:
    """Tries a value, then its neighbours upwards as long as the loss falls, else downwards.

    Args:
        loss_of: Tries a value.
        values: Values in order.
        begin: Position of the first one.
        go_on: Asked before each trial.
    """
    if not go_on():
        return
    first = loss_of(values[begin])
    for step in (1, -1):
        last, place = first, begin + step
        while 0 <= place < len(values) and go_on():
            loss = loss_of(values[place])
            if loss >= last:
                break
            last, place = loss, place + step
        if last < first:
            return


def held_out_scores(
    x: Any,
    labels: npt.NDArray[np.int64],
    classes: int,
    folds: npt.NDArray[np.int64],
    scheme: Scheme,
    strength: float,
    balanced: bool,
    seed: int,
) -> npt.NDArray[np.float64]:
    """Scores (H, K) of the examples that are held out, in order, each by weights that did not see its fold."""
    scores = np.zeros((len(labels), classes))
    for fold in range(int(folds.max()) + 1):
        inside = np.flatnonzero((folds != fold) & (folds != _NEVER))
        outside = np.flatnonzero(folds == fold)
        weights, bias = fit_weights(x[inside], labels[inside], classes, scheme, strength, balanced, seed)
        scores[outside] = spread(np.asarray(x[outside] @ weights, np.float64) + bias, classes)
    return scores[folds >= 0]


def unbiased_scores(
    found: list[npt.NDArray[np.float64]], truth: npt.NDArray[np.int64], folds: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Scores of every fold by the setting that is best on the other folds, calibrated on those."""
    if len(np.unique(folds)) < 2:
        best = min(found, key=lambda s: log_loss(fit_calibration(s, truth).log_probs(s), truth))
        return best
    result = np.zeros_like(found[0])
    for fold in np.unique(folds):
        others, here = folds != fold, folds == fold
        fits: list[tuple[float, Any]] = []
        for scores in found:
            calibration = fit_calibration(scores[others], truth[others])
            log_probs = calibration.log_probs(scores)
            fits.append((log_loss(log_probs[others], truth[others]), log_probs[here]))
        result[here] = min(fits, key=lambda pair: pair[0])[1]
    return result
