"""Which examples are held out in turn: whole groups, each label alike."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def text_key(text: str) -> str:
    """What makes two texts the same: letter case, width and white space do not count."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text)).lower()


def fold_numbers(
    texts: Sequence[str], labels: npt.NDArray[np.int64], folds: int, seed: int = 0
) -> npt.NDArray[np.int64]:
    """Gives every example the number of the fold in which it is held out.

    Examples with the same text are in one fold. Within a label, groups are dealt out in random order, the fold with the
    fewest examples of the label first.

    Returns:
        Fold numbers int64 (N,), 0 <= number < folds.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for index, text in enumerate(texts):
        groups[text_key(text)].append(index)
    by_label: dict[int, list[list[int]]] = defaultdict(list)
    for members in groups.values():
        by_label[int(labels[members[0]])].append(members)
    random = np.random.default_rng(seed)
    numbers = np.zeros(len(texts), np.int64)
    total = np.zeros(folds, np.int64)
    for label in sorted(by_label):
        filled = np.zeros(folds, np.int64)
        for place in random.permutation(len(by_label[label])):
            members = by_label[label][place]
            fold = int(np.lexsort((total, filled))[0])
            numbers[members] = fold
            filled[fold] += len(members)
            total[fold] += len(members)
    return numbers
