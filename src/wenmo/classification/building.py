"""From labelled texts to a classifier: members are trained, compared on held-out texts, and put together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from wenmo.classification.calibration import fit_calibration
from wenmo.classification.classifier import Classifier, blend
from wenmo.classification.features import NgramSettings
from wenmo.classification.fitting import LinearFit, fit_linear
from wenmo.classification.folds import fold_numbers
from wenmo.classification.metrics import log_loss, log_softmax
from wenmo.progress import duration, track

if TYPE_CHECKING:
    from wenmo.classification.network import Network
    from wenmo.classification.network_building import Built

Kind = Literal["auto", "linear", "network"]
FOLDS_BELOW = 2_000
"""With fewer examples than this each is held out once, in folds; with more, some are held out once and for all."""
FROM_SCRATCH_FROM = 2_000
"""Examples from which on a network is trained without a language model to begin with."""
LINEAR_SHARE = 0.4
"""Largest share of the time that is spent on choosing the n-gram model."""


@dataclass
class Evidence:
    """How the classifier did on examples that were held out from its training.

    Attributes:
        folds: Number of folds; 1 when some examples were held out once and for all.
        labels: Labels of the held-out examples (H,).
        log_probs: Calibrated log-probabilities (H, K); with folds, nothing that was chosen or fitted for an
            example's fold has seen it.
        losses: Calibrated log-loss of each member, and of both.
        linear: How the n-gram model was chosen.
    """

    folds: int
    labels: npt.NDArray[np.int64]
    log_probs: npt.NDArray[np.float64]
    losses: dict[str, float] = field(default_factory=dict)
    linear: LinearFit | None = None


@dataclass(frozen=True)
class Plan:
    """What is to be built.

    Attributes:
        kind: Both members as far as they help, or one of them.
        base: Folder of a language model to begin with.
        ngrams: Which n-grams; chosen from the texts when not given.
        longest: Most tokens of a text that a network reads.
        rare: Whether verdicts may favour rare classes.
        seed: Of folds, initial weights, order and dropout.
        later: Number of texts that are to be scored within the same time, after the training.
    """

    kind: Kind = "auto"
    base: Path | None = None
    ngrams: NgramSettings | None = None
    longest: int = 400
    rare: bool = True
    seed: int = 0
    later: int = 0


def build(
    texts: Sequence[str],
    labels: npt.NDArray[np.int64],
    names: Sequence[str],
    plan: Plan,
    *,
    held_texts: Sequence[str] = (),
    held_labels: npt.NDArray[np.int64] | None = None,
    seconds: float = 600.0,
    progress: bool = False,
    say: Callable[[str], None] = lambda sentence: None,
) -> tuple[Classifier, Evidence]:
    """Trains a classifier.

    Args:
        texts: Texts to learn from.
        labels: Their labels (N,), 0 <= label < K.
        names: Names of the K classes.
        plan: What is to be built.
        held_texts: Held-out texts to steer by; without any, the examples are held out in folds.
        held_labels: Their labels.
        seconds: Time for everything.
        progress: Whether progress is shown.
        say: Told what was decided.

    Returns:
        The classifier, and how it did on held-out examples.

    Raises:
        WenmoError: When `plan.base` is no language model with a neural member.
    """
    started = time.monotonic()
    classes = len(names)
    everything = [*texts, *held_texts]
    if held_labels is None or not len(held_texts):
        count = 10 if len(texts) < 200 else 5
        every, folds = labels, fold_numbers(texts, labels, count, plan.seed)
    else:
        count = 1
        every = np.concatenate([labels, held_labels])
        folds = np.concatenate([np.full(len(texts), -1), np.zeros(len(held_texts), np.int64)])
    evidence = Evidence(count, every[folds >= 0], np.zeros((0, classes)))
    scores: dict[str, npt.NDArray[np.float64]] = {}
    unbiased: dict[str, npt.NDArray[np.float64]] = {}
    linear: LinearFit | None = None
    network: Network | None = None
    if plan.kind != "network":
        with track("n-gram model", None, "") as bar:
            bar.enabled = progress
            linear = fit_linear(
                everything,
                every,
                classes,
                folds,
                settings=plan.ngrams,
                seconds=seconds * LINEAR_SHARE,
                seed=plan.seed,
                advance=lambda note: bar.advance(1, note),
            )
        evidence.linear = linear
        scores["linear"], unbiased["linear"] = linear.scores, linear.unbiased
        chosen = linear.chosen
        say(
            f"n-gram model: {len(linear.model.table):,} n-grams, weighted by {chosen.scheme}, penalty strength "
            f"{chosen.strength:g}{', rare classes weighted up' if chosen.balanced else ''}, chosen among "
            f"{len(linear.trials)} settings on held-out examples "
            f"({duration(time.monotonic() - started)})"
        )
    wanted = plan.kind == "network" or (
        plan.kind == "auto" and (plan.base is not None or (count == 1 and len(texts) >= FROM_SCRATCH_FROM))
    )
    if wanted:
        left = seconds - (time.monotonic() - started)
        built = _network(everything, every, classes, folds, plan, left, progress, say)
        if built is not None:
            network, scores["network"], unbiased["network"] = built
    together = blend(scores, evidence.labels)
    evidence.losses = together.losses
    favour = together.favour if plan.rare else np.zeros(classes)
    evidence.log_probs = _unbiased_blend(unbiased, evidence.labels, folds[folds >= 0])
    if len(scores) > 1:
        say(_comparison(together.losses, together.weights))
    if favour.any():
        say("verdicts favour rare labels, which raised macro-F1 on held-out examples; probabilities do not")
    classifier = Classifier(
        list(names),
        linear.model if linear is not None and "linear" in together.weights else None,
        network if "network" in together.weights else None,
        together.weights,
        together.calibration,
        favour,
    )
    return classifier, evidence


def _network(
    texts: Sequence[str],
    labels: npt.NDArray[np.int64],
    classes: int,
    folds: npt.NDArray[np.int64],
    plan: Plan,
    seconds: float,
    progress: bool,
    say: Callable[[str], None],
) -> Built | None:
    """Trains a network; with a language model and many examples also one from scratch, and keeps the better one.

    A small language model may know less than many labels tell, and only held-out examples can say.
    """
    from wenmo.classification.network_building import build_network

    compare = plan.base is not None and int(folds.max()) == 0 and len(texts) >= FROM_SCRATCH_FROM
    if not compare:
        return build_network(texts, labels, classes, folds, plan, seconds, progress, say)
    started = time.monotonic()
    based = build_network(texts, labels, classes, folds, plan, seconds / 2, progress, say)
    left = seconds - (time.monotonic() - started)
    alone = build_network(texts, labels, classes, folds, replace(plan, base=None), left, progress, say)
    if based is None or alone is None:
        return based or alone
    truth = labels[folds >= 0]
    losses = [
        log_loss(fit_calibration(found[1], truth).log_probs(found[1]), truth) for found in (based, alone)
    ]
    say(
        f"log-loss on held-out examples: network on the language model {losses[0]:.4f}, from scratch {losses[1]:.4f}; "
        f"the {'former' if losses[0] <= losses[1] else 'latter'} is used"
    )
    return based if losses[0] <= losses[1] else alone


def _unbiased_blend(
    scores: dict[str, npt.NDArray[np.float64]], labels: npt.NDArray[np.int64], folds: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Log-probabilities of every fold with weights and calibration fitted on the other folds.

    With folds the scores are log-probabilities that were calibrated so already; those of a single member stay.
    """
    if len(scores) == 1 and len(np.unique(folds)) > 1:
        return log_softmax(next(iter(scores.values())))
    result = np.zeros((len(labels), next(iter(scores.values())).shape[1]))
    for fold in np.unique(folds):
        here = folds == fold
        others = ~here if not here.all() else here
        fitted = blend({name: part[others] for name, part in scores.items()}, labels[others])
        total = sum((w * log_softmax(scores[name][here]) for name, w in fitted.weights.items()), np.zeros(()))
        result[here] = fitted.calibration.log_probs(total)
    return result


def _comparison(losses: dict[str, float], weights: dict[str, float]) -> str:
    names = {"linear": "the n-gram model", "network": "the network", "both": "both averaged"}
    shown = ", ".join(f"{names[name]} {loss:.4f}" for name, loss in losses.items())
    kept = "both averaged" if len(weights) > 1 else names[next(iter(weights))]
    return f"log-loss on held-out examples: {shown}; {kept} is used"
