"""Scores of a classifier, and how sure they are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]


def log_softmax(scores: Floats) -> npt.NDArray[np.float64]:
    """Log-probabilities of scores (N, K)."""
    scores = np.asarray(scores, np.float64)
    shifted = scores - scores.max(axis=1, keepdims=True)
    found: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return found


def log_loss(log_probs: Floats, labels: Labels) -> float:
    """Mean negative log-probability, in nats, of the true labels; NaN without any."""
    if not len(labels):
        return math.nan
    return float(-log_probs[np.arange(len(labels)), labels].mean())


def confusion(predicted: Labels, labels: Labels, classes: int) -> npt.NDArray[np.int64]:
    """Counts (K, K): row = true label, column = predicted."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def class_scores(counts: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
    """Precision, recall and F1 of each class of a confusion matrix; 0 where there is nothing to divide by."""
    hits = np.diag(counts).astype(float)
    precision = hits / np.maximum(counts.sum(axis=0), 1)
    recall = hits / np.maximum(counts.sum(axis=1), 1)
    f1 = 2 * hits / np.maximum(counts.sum(axis=0) + counts.sum(axis=1), 1)
    return {"precision": precision, "recall": recall, "f1": f1}


def macro_f1(counts: npt.NDArray[np.int64]) -> float:
    """Mean F1 of the classes that occur among the true or predicted labels."""
    occurring = (counts.sum(axis=0) + counts.sum(axis=1)) > 0
    return float(class_scores(counts)["f1"][occurring].mean()) if occurring.any() else math.nan


def calibration_error(probs: Floats, labels: Labels, bins: int = 15) -> float:
    """Expected calibration error: |confidence - accuracy|, averaged over bins of confidence by their size.

    Naeini, Cooper & Hauskrecht 2015; bins of equal width as in Guo et al. 2017.

    Args:
        probs: Probabilities (N, K).
        labels: True labels (N,).
        bins: Number of bins.
    """
    if not len(labels):
        return math.nan
    confidence = probs.max(axis=1)
    right = probs.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    error = 0.0
    for b in range(bins):
        inside = place == b
        if inside.any():
            error += abs(float(confidence[inside].mean()) - float(right[inside].mean())) * float(
                inside.mean()
            )
    return error


def wilson(hits: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Interval (95 % by default) of a share of which `hits` of `total` were seen (Wilson 1927)."""
    if not total:
        return 0.0, 1.0
    share = hits / total
    middle = share + z * z / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    # At 0 or all hits the exact bound is 0 or 1, which rounding may miss by a hair.
    low = 0.0 if hits == 0 else (middle - half) / scale
    high = 1.0 if hits == total else (middle + half) / scale
    return low, high


def bootstrap_macro_f1(
    predicted: Labels, labels: Labels, classes: int, seed: int = 0, samples: int = 500
) -> tuple[float, float]:
    """Interval (95 %) of the macro-F1 over `samples` resamples of the examples (percentile bootstrap)."""
    if not len(labels):
        return 0.0, 1.0
    counts = confusion(predicted, labels, classes).ravel()
    # Resampling rows only moves the counts of the confusion matrix, which are multinomial.
    draws = np.random.default_rng(seed).multinomial(len(labels), counts / counts.sum(), size=samples)
    values = [macro_f1(draw.reshape(classes, classes)) for draw in draws]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def scores_of(log_probs: Floats, labels: Labels, predicted: Labels | None = None) -> dict[str, float]:
    """The scores of a report: accuracy, macro_f1, log_loss, calibration_error.

    Args:
        log_probs: Log-probabilities (N, K).
        labels: True labels (N,).
        predicted: Verdicts (N,), where they are not the likeliest labels.
    """
    classes = log_probs.shape[1]
    verdicts = log_probs.argmax(axis=1) if predicted is None else predicted
    return {
        "accuracy": float((verdicts == labels).mean()) if len(labels) else math.nan,
        "macro_f1": macro_f1(confusion(verdicts, labels, classes)),
        "log_loss": log_loss(log_probs, labels),
        "calibration_error": calibration_error(np.exp(log_probs), labels),
    }


def as_rows(counts: npt.NDArray[np.int64], names: Any) -> tuple[tuple[Any, ...], ...]:
    """Rows of a confusion matrix with precision, recall and F1, for a table."""
    parts = class_scores(counts)
    return tuple(
        (
            names[k],
            *(int(c) for c in counts[k]),
            round(float(parts["precision"][k]), 4),
            round(float(parts["recall"][k]), 4),
            round(float(parts["f1"][k]), 4),
        )
        for k in range(len(counts))
    )
