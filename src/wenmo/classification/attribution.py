"""The words that decided: what each word adds to the log-odds of the verdict against the other labels.

For the n-gram model the sum is exact: an n-gram's contribution is shared among its occurrences, and in each of them
among its characters; a word has what its characters have. For the network it is gradient times input, a first-order
approximation (Simonyan et al. 2014). With both, each counts with its weight in the average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wenmo.classification.classifier import Classifier
from wenmo.classification.features import kinds, lookup, ngram_keys, sequences_of
from wenmo.classification.linear import LinearModel, spread
from wenmo.classification.metrics import log_softmax
from wenmo.classification.units import characters, units

Heat = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Explanation:
    """Why a text got its label.

    Attributes:
        label: The label that is explained.
        words: (word, begin, end, contribution) of every unit, in order.
        exact: Whether the contributions and `rest` add up to the log-odds of the label.
        rest: What is not in the words: bias and calibration.
    """

    label: str
    words: list[tuple[str, int, int, float]]
    exact: bool
    rest: float

    def strongest(self, count: int = 8) -> list[tuple[str, float]]:
        """The words with the largest contributions; equal words are added up."""
        total: dict[str, float] = {}
        for word, _, _, value in self.words:
            total[word.lower()] = total.get(word.lower(), 0.0) + value
        ranked = sorted(total.items(), key=lambda pair: -abs(pair[1]))
        return [(word, value) for word, value in ranked[:count] if abs(value) > 1e-6]


def against(target: int, classes: int) -> Heat:
    """Weights (K,) that turn scores into the lead of `target` over the mean of the others."""
    weights = np.full(classes, -1.0 / max(classes - 1, 1))
    weights[target] = 1.0
    return weights


def linear_heat(model: LinearModel, text: str, lead: Heat) -> Heat:
    """What each character of `text` adds to the score of the n-gram model (scores @ lead, without the bias)."""
    heat = np.zeros(len(text))
    found: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], int]] = []
    begins: dict[int, npt.NDArray[np.int64]] = {}
    ends: dict[int, npt.NDArray[np.int64]] = {}
    for kind, longest in kinds(model.settings):
        if kind == 1:
            places = units(text)[1]
            begins[1], ends[1] = places[:, 0], places[:, 1]
        else:
            places = characters(text)[1]
            begins[2], ends[2] = places, places + 1
        for n, keys, positions in ngram_keys(sequences_of([text], kind), longest, kind):
            columns = lookup(keys, model.table)
            known = columns >= 0
            found.append((columns[known], positions[known], positions[known] + n - 1, kind))
    if not found:
        return heat
    every = np.concatenate([columns for columns, *_ in found])
    if not len(every):
        return heat
    unique, counts = np.unique(every, return_counts=True)
    values = 1.0 + np.log(counts)
    values /= np.sqrt((values**2).sum())
    scores = spread(model.weights[unique].astype(np.float64), model.classes) @ lead
    # Each occurrence gets an equal share of its n-gram's contribution.
    shares = values * scores / counts
    inked = np.array([not c.isspace() for c in text], np.float64)
    before = np.concatenate([[0.0], np.cumsum(inked)])
    slope = np.zeros(len(text) + 1)
    for columns, first, last, kind in found:
        share = shares[np.searchsorted(unique, columns)]
        a, b = begins[kind][first], ends[kind][last]
        density = share / np.maximum(before[b] - before[a], 1.0)
        np.add.at(slope, a, density)
        np.add.at(slope, b, -density)
    return np.asarray(np.cumsum(slope)[:-1] * inked, np.float64)


def explain(classifier: Classifier, text: str, label: str | None = None) -> Explanation:
    """Explains a verdict, or how far the text speaks for `label`.

    Args:
        classifier: The classifier.
        text: The text.
        label: A label; the verdict when not given.
    """
    log_probs = classifier.log_probs([text])[0]
    if label is None:
        label = classifier.names[int((log_probs + classifier.favour).argmax())]
    lead = against(classifier.names.index(label), len(classifier.names))
    heat = np.zeros(len(text))
    scale = 1.0 / classifier.calibration.temperature
    if classifier.linear is not None:
        heat += scale * classifier.weights["linear"] * linear_heat(classifier.linear, text, lead)
    if classifier.network is not None:
        from wenmo.classification.gradients import network_heat

        heat += scale * classifier.weights["network"] * network_heat(classifier.network, text, lead)
    names, places = units(text)
    sums = np.concatenate([[0.0], np.cumsum(heat)])
    words = [
        (text[a:b], int(a), int(b), float(sums[b] - sums[a])) for (a, b), _ in zip(places, names, strict=True)
    ]
    rest = float(log_softmax(log_probs[None])[0] @ lead) - sum(value for *_, value in words)
    return Explanation(label, words, classifier.network is None, rest)


def telling_words(
    classifier: Classifier, texts: Sequence[str], count: int = 15
) -> dict[str, list[tuple[str, float]]]:
    """The words that speak most for each label in some texts.

    Args:
        classifier: The classifier.
        texts: A sample of texts; a hundred are enough.
        count: Most words of a label.

    Returns:
        Label -> (word, what it adds to the log-odds of the label, summed over the texts), the strongest first. Marks,
        and words that occur in one of several texts only, are left out.
    """
    found: dict[str, list[tuple[str, float]]] = {}
    least = 2 if len(texts) >= 20 else 1
    for label in classifier.names:
        total: dict[str, float] = {}
        standing: dict[str, int] = {}
        for text in texts:
            seen = set()
            for word, _, _, value in explain(classifier, text, label).words:
                name = word.lower()
                total[name] = total.get(name, 0.0) + value
                seen.add(name)
            for name in seen:
                standing[name] = standing.get(name, 0) + 1
        ranked = sorted(
            (
                (w, v)
                for w, v in total.items()
                if standing[w] >= least and v > 0 and any(c.isalnum() for c in w)
            ),
            key=lambda p: -p[1],
        )
        found[label] = ranked[:count]
    return found
