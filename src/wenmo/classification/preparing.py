"""From labelled rows to the sides of a training: labels checked and described, texts split, leaks counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wenmo.classification.building import FOLDS_BELOW
from wenmo.classification.folds import text_key
from wenmo.classification.labels import label_names, similar_labels
from wenmo.classification.rows import Examples, contradictions
from wenmo.errors import InputError
from wenmo.examples import split_groups

FEWEST = 8
"""Fewest labelled rows that anything can be learned from."""
SHARE = 0.1
"""Share of many rows that is held out to steer by, and to score on."""


@dataclass(frozen=True)
class Side:
    """Texts with their labels as numbers.

    Attributes:
        texts: Texts.
        labels: int64 (N,).
    """

    texts: list[str]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sides:
    """What is learned from, steered by and scored on.

    Attributes:
        names: Names of the classes.
        train: To learn from.
        valid: To steer by; empty when the examples are held out in folds.
        test: For the score; empty when that is cross-validated.
        seen: Whether each test text also stands in `train` or `valid`, bool (N,).
        dropped: Reason -> rows left out.
    """

    names: list[str]
    train: Side
    valid: Side
    test: Side
    seen: npt.NDArray[np.bool_]
    dropped: Counter[str]


def prepare(
    examples: Examples,
    *,
    source: str,
    valid: Examples | None,
    test: Examples | None,
    valid_fraction: float | None,
    test_fraction: float | None,
    seed: int,
    say: Callable[[str], None],
) -> Sides:
    """Checks and splits labelled texts.

    A text never stands on two sides of a split that is made here. Of given files, validation texts are taken out of the
    training examples, and test texts that stand there are counted.

    Args:
        examples: Rows to learn from (and to split, where files are not given).
        source: What they were read from, for messages.
        valid: Rows of a file to steer by.
        test: Rows of a file to score on.
        valid_fraction: Share to steer by otherwise; None is a tenth, or none of fewer than 2,000 rows, which are held
            out in folds instead.
        test_fraction: Share to score on otherwise; None likewise.
        seed: Of the split.
        say: Told what was found.

    Raises:
        InputError: When there are too few rows, one label only, or as many labels as rows.
    """
    _check(source, examples.labels)
    names = label_names(examples.labels)
    for sentence in similar_labels(examples.labels):
        say(sentence)
    say(_distribution(names, examples.labels))
    if count := contradictions(examples.texts, examples.labels):
        say(f"{count:,} different texts have more than one label; they are kept as they are")
    dropped = Counter(examples.dropped)
    total = len(examples.texts)
    usual = 0.0 if total < FOLDS_BELOW else SHARE
    test_share = 0.0 if test is not None else usual if test_fraction is None else test_fraction
    valid_share = 0.0 if valid is not None else usual if valid_fraction is None else valid_fraction
    if test is None and not test_share:
        say(f"{total:,} rows: the score is cross-validated, and all of them are learned from")
    keys = [text_key(text) for text in examples.texts]
    split = split_groups(keys, valid=valid_share, test=test_share, seed=seed, strata=examples.labels)
    number = {name: k for k, name in enumerate(names)}

    def side(found: Examples, rows: Sequence[int]) -> Side:
        labels = np.array([number[found.labels[i]] for i in rows], np.int64)
        return Side([found.texts[i] for i in rows], labels)

    train = side(examples, split.train)
    if valid is None:
        steered = side(examples, split.valid)
    else:
        steered = side(valid, _known(valid, names, "valid", dropped, say))
        held = {text_key(text) for text in steered.texts}
        kept = [i for i, text in enumerate(train.texts) if text_key(text) not in held]
        if lost := len(train.texts) - len(kept):
            dropped["also among the validation texts"] += lost
            train = Side([train.texts[i] for i in kept], train.labels[kept])
        if len(np.unique(train.labels)) < 2:
            raise InputError(
                f"{source}: without the texts of --valid, fewer than two labels are left to learn"
            )
    if test is None:
        scored = side(examples, split.test)
    else:
        scored = side(test, _known(test, names, "test", dropped, say))
    learned = {text_key(text) for text in [*train.texts, *steered.texts]}
    seen = np.array([text_key(text) in learned for text in scored.texts], bool)
    if seen.any():
        say(
            f"{int(seen.sum()):,} of {len(seen):,} test texts also stand among the examples learned from; "
            "the score is given with and without them"
        )
    return Sides(names, train, steered, scored, seen, dropped)


def _check(source: str, labels: Sequence[str]) -> None:
    if len(labels) < FEWEST:
        raise InputError(
            f"{source}: {len(labels)} labelled rows are too few to learn from; label 20 at least"
        )
    distinct = len(set(labels))
    if distinct == 1:
        raise InputError(
            f"{source}: every row has the label {labels[0]!r}, so there is nothing to tell apart; add rows with "
            "another label, or name the right column with --label-field"
        )
    if distinct > max(len(labels) // 2, 2):
        raise InputError(
            f"{source}: {distinct:,} different labels in {len(labels):,} rows are too many to learn; name the right "
            "column with --label-field"
        )


def _distribution(names: Sequence[str], labels: Sequence[str]) -> str:
    counts = Counter(labels)
    ranked = sorted(names, key=lambda name: -counts[name])
    shown = ", ".join(f"{name} {counts[name]:,} ({counts[name] / len(labels):.0%})" for name in ranked[:8])
    more = f" and {len(ranked) - 8} more" if len(ranked) > 8 else ""
    rare = [name for name in names if counts[name] < 5]
    warning = f"; fewer than 5 rows: {', '.join(rare[:8])}" if rare else ""
    return f"{len(names)} labels: {shown}{more}{warning}"


def _known(
    found: Examples, names: Sequence[str], side: str, dropped: Counter[str], say: Callable[[str], None]
) -> list[int]:
    """Rows of a given file whose label was seen in training; the others are counted."""
    for reason, count in found.dropped.items():
        dropped[f"{reason} ({side} file)"] += count
    known = [i for i, label in enumerate(found.labels) if label in set(names)]
    if lost := len(found.labels) - len(known):
        strange = next(label for label in found.labels if label not in set(names))
        dropped[f"label not among the training examples ({side} file)"] += lost
        say(
            f"{lost:,} rows of the {side} file have a label that no training example has, such as {strange!r}"
        )
    if not known:
        raise InputError(
            f"--{side}: no row has a label of the training examples ({', '.join(names[:5])}); check --label-field"
        )
    return known
