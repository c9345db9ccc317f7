"""From scores to probabilities that hold, and from probabilities to a verdict.

Temperature scaling (Guo et al. 2017) with an offset for each class, fitted on examples that the model did not learn
from. Both are drawn towards "change nothing" by a weak prior, so that twenty examples do not make them extreme.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wenmo.classification.metrics import Floats, Labels, confusion, log_softmax, macro_f1

IMBALANCE = 2.0
"""From this ratio of the largest to the smallest class on, rare classes may be favoured."""


@dataclass(frozen=True)
class Calibration:
    """How scores become log-probabilities.

    Attributes:
        temperature: Scores are divided by it.
        offsets: Then added to each class, (K,).
    """

    temperature: float
    offsets: npt.NDArray[np.float64]

    def log_probs(self, scores: Floats) -> npt.NDArray[np.float64]:
        """Calibrated log-probabilities (N, K)."""
        return log_softmax(np.asarray(scores, np.float64) / self.temperature + self.offsets)


def identity(classes: int) -> Calibration:
    """A calibration that changes nothing."""
    return Calibration(1.0, np.zeros(classes))


def fit_calibration(scores: Floats, labels: Labels) -> Calibration:
    """Fits temperature and offsets by the log-loss of held-out examples, with a normal prior on both.

    Args:
        scores: Scores of held-out examples (N, K).
        labels: Their labels (N,).
    """
    from scipy.optimize import minimize

    n, classes = scores.shape
    if not n:
        return identity(classes)
    scores = np.asarray(scores, np.float64)
    truth = np.zeros((n, classes))
    truth[np.arange(n), labels] = 1.0

    def loss(x: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        scale = np.exp(-x[0])
        log_probs = log_softmax(scores * scale + x[1:])
        off = np.exp(log_probs) - truth
        value = -float((log_probs * truth).sum()) + 0.5 * float(x[0] ** 2) + 2.0 * float((x[1:] ** 2).sum())
        slope = np.concatenate([[-(off * scores).sum() * scale + x[0]], off.sum(axis=0) + 4.0 * x[1:]])
        return value, slope

    found = minimize(
        loss, np.zeros(classes + 1), jac=True, method="L-BFGS-B", bounds=[(-4.0, 4.0)] * (classes + 1)
    )
    return Calibration(float(np.exp(found.x[0])), found.x[1:])


def decide(log_probs: Floats, favour: Floats) -> npt.NDArray[np.int64]:
    """Verdicts (N,): the class with the greatest log-probability + favour (K,)."""
    return np.asarray((log_probs + favour).argmax(axis=1), np.int64)


def fit_favour(log_probs: Floats, labels: Labels) -> npt.NDArray[np.float64]:
    """How much rare classes are favoured in verdicts: -tau * log(share of the class).

    tau is the smallest of 0, 0.1, ..., 1 whose macro-F1 on held-out examples comes within a thousandth of the best one;
    0 where the classes are of similar size. Probabilities are not changed by it.

    Args:
        log_probs: Calibrated log-probabilities of held-out examples (N, K).
        labels: Their labels.
    """
    classes = log_probs.shape[1]
    counts = np.bincount(labels, minlength=classes)
    if counts.max() < IMBALANCE * max(counts.min(), 1) or counts.min() < 5:
        return np.zeros(classes)
    rarity = -np.log(counts / counts.sum())
    taus = np.linspace(0, 1, 11)
    found = [macro_f1(confusion(decide(log_probs, tau * rarity), labels, classes)) for tau in taus]
    tau = next(t for t, value in zip(taus, found, strict=True) if value >= max(found) - 1e-3)
    return np.asarray(tau * rarity, np.float64)
