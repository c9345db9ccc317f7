"""A classifier beside simple baselines on examples held out for the score, in numbers and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wenmo.classification.calibration import decide
from wenmo.classification.features import Counter, NgramSettings, matrix
from wenmo.classification.folds import fold_numbers
from wenmo.classification.metrics import (
    bootstrap_macro_f1,
    confusion,
    log_softmax,
    scores_of,
    wilson,
)
from wenmo.text import han_share

if TYPE_CHECKING:
    from wenmo.classification.building import Evidence
    from wenmo.classification.classifier import Classifier
    from wenmo.classification.preparing import Sides

TFIDF = "TF-IDF + logistic regression"
FREQUENT = "most frequent label"


@dataclass(frozen=True)
class Score:
    """A classifier's answers on examples with known labels.

    Attributes:
        labels: True labels (N,).
        verdicts: Verdicts (N,).
        log_probs: Log-probabilities (N, K).
        seen: Whether the same text stands among those learned from (N,).
    """

    labels: npt.NDArray[np.int64]
    verdicts: npt.NDArray[np.int64]
    log_probs: npt.NDArray[np.float64]
    seen: npt.NDArray[np.bool_]

    def scores(self) -> dict[str, float]:
        """All scores; `accuracy_unseen` and `macro_f1_unseen` leave out texts that were learned from."""
        found = scores_of(self.log_probs, self.labels, self.verdicts)
        if self.seen.any() and not self.seen.all():
            rest = ~self.seen
            apart = scores_of(self.log_probs[rest], self.labels[rest], self.verdicts[rest])
            found |= {f"{name}_unseen": apart[name] for name in ("accuracy", "macro_f1")}
        return found

    def interval(self) -> tuple[float, float]:
        """Interval (95 %) of the accuracy (Wilson)."""
        return wilson(int((self.verdicts == self.labels).sum()), len(self.labels))

    def macro_interval(self) -> tuple[float, float]:
        """Interval (95 %) of the macro-F1 (bootstrap)."""
        return bootstrap_macro_f1(self.verdicts, self.labels, self.log_probs.shape[1])

    def confusion(self) -> npt.NDArray[np.int64]:
        """Confusion matrix (K, K), rows are the true labels."""
        return confusion(self.verdicts, self.labels, self.log_probs.shape[1])


def score(
    log_probs: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    favour: npt.NDArray[np.float64],
    seen: npt.NDArray[np.bool_],
) -> Score:
    """Verdicts from log-probabilities, beside the truth; an empty `seen` means that no text was."""
    seen = seen if len(seen) else np.zeros(len(labels), bool)
    return Score(labels, decide(log_probs, favour), log_probs, seen)


def frequent_label(labels: npt.NDArray[np.int64], count: int, classes: int) -> npt.NDArray[np.float64]:
    """Log-probabilities (count, K) of always answering with the shares of the labels, add-one smoothed."""
    shares = np.bincount(labels, minlength=classes) + 1.0
    return np.tile(np.log(shares / shares.sum()), (count, 1))


def tfidf_baseline(
    texts: Sequence[str],
    labels: npt.NDArray[np.int64],
    others: Sequence[str],
    classes: int,
    folds: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.float64]:
    """Log-probabilities of scikit-learn's TF-IDF and logistic regression with their default settings.

    Single words (segmented by wenmo, for the default pattern of the library does not know Chinese words).

    Args:
        texts: To learn from.
        labels: Their labels.
        others: To be scored (M,); leave empty with `folds`.
        classes: K.
        folds: Scores every text of `texts` by a model that did not see its fold, instead of `others`.

    Returns:
        float64 (M, K), or (N, K) with folds.
    """
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression

    counter = Counter(NgramSettings(words=1))
    chunks = counter.read(texts)
    table = counter.table(chunks, 1)
    x = matrix(chunks, table)

    def learn(rows: npt.NDArray[np.int64], asked: object) -> npt.NDArray[np.float64]:
        transform = TfidfTransformer()
        model = LogisticRegression(max_iter=200)
        known = transform.fit_transform(x[rows])
        if len(np.unique(labels[rows])) < 2:
            return frequent_label(labels[rows], asked.shape[0], classes)  # type: ignore[attr-defined]
        model.fit(known, labels[rows])
        found = np.full((asked.shape[0], classes), -20.0)  # type: ignore[attr-defined]
        found[:, model.classes_] = model.predict_log_proba(transform.transform(asked))
        return log_softmax(np.maximum(found, -20.0))

    every = np.arange(len(texts))
    if folds is None:
        return learn(every, matrix(counter.read(others), table))
    result = np.zeros((len(texts), classes))
    for fold in np.unique(folds):
        result[folds == fold] = learn(np.flatnonzero(folds != fold), x[folds == fold])
    return result


def answers(
    classifier: Classifier, evidence: Evidence, sides: Sides, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64], int]:
    """What the score is made from.

    Returns:
        True labels (N,); log-probabilities of the classifier and of TF-IDF + logistic regression (both (N, K)); and in
        how many folds the examples were held out, 1 for test texts of their own.
    """
    learned = [*sides.train.texts, *sides.valid.texts]
    labels = np.concatenate([sides.train.labels, sides.valid.labels])
    classes = len(sides.names)
    if sides.test.texts:
        plain = tfidf_baseline(learned, labels, sides.test.texts, classes)
        return sides.test.labels, classifier.log_probs(sides.test.texts), plain, 1
    if evidence.folds > 1:
        numbers = fold_numbers(learned, labels, evidence.folds, seed)
        plain = tfidf_baseline(learned, labels, (), classes, numbers)
    else:
        plain = tfidf_baseline(sides.train.texts, sides.train.labels, sides.valid.texts, classes)
    return evidence.labels, evidence.log_probs, plain, evidence.folds


def baseline_scores(
    plain: npt.NDArray[np.float64], sides: Sides, truth: npt.NDArray[np.int64]
) -> dict[str, dict[str, float]]:
    """Scores of TF-IDF + logistic regression, and of always answering with the most frequent label."""
    classes = len(sides.names)
    labels = np.concatenate([sides.train.labels, sides.valid.labels])
    found = {TFIDF: plain, FREQUENT: frequent_label(labels, len(truth), classes)}
    nothing = np.zeros(classes)
    return {name: score(probs, truth, nothing, sides.seen).scores() for name, probs in found.items()}


def verdict_sentence(
    found: Score, names: Sequence[str], baselines: dict[str, dict[str, float]], folds: int, learned: int
) -> str:
    """How good, how sure, and what would help most, in two or three sentences."""
    low, high = found.interval()
    scores = found.scores()
    total = len(found.labels)
    how = f"cross-validated over {folds} folds" if folds > 1 else "of held-out texts"
    words = (
        f"{scores['accuracy']:.1%} of {total:,} texts right, {how} (95 % sure: {low:.1%} to {high:.1%}); "
        f"{TFIDF} gets {baselines[TFIDF]['accuracy']:.1%}, "
        f"the most frequent label {baselines[FREQUENT]['accuracy']:.1%}."
    )
    if "accuracy_unseen" in scores:
        count = int(found.seen.sum())
        words += (
            f" {count:,} of these texts also stand among the examples learned from; without them "
            f"{scores['accuracy_unseen']:.1%}."
        )
    counts = found.confusion()
    recall = np.diag(counts) / np.maximum(counts.sum(axis=1), 1)
    occurring = counts.sum(axis=1) >= 5
    weakest = int(np.where(occurring, recall, np.inf).argmin())
    if high - low > 0.1:
        words += f" With {total:,} texts this is a rough figure: label more texts to be surer."
    elif occurring.any() and recall[weakest] < scores["accuracy"] - 0.1:
        words += f" The label {names[weakest]!r} is missed most ({recall[weakest]:.0%} found): "
        words += "more of its examples would help most."
    elif learned < 5_000:
        words += " More labelled texts would help most."
    return words


def language_of(texts: Sequence[str]) -> str:
    """`zh` or `en`, for the page."""
    return "zh" if han_share("".join(text[:100] for text in texts[:200])) > 0.3 else "en"
