"""The teacher's part of a run: how much of the text it can be asked about, and asking it, with pauses."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wenmo.config import Settings
from wenmo.distillation import counting
from wenmo.distillation.counting import BLOCK, Selection, folds_of, foretell_fold, select
from wenmo.distillation.targets import PLACES, Targets
from wenmo.distillation.teacher import Teacher, write_block
from wenmo.errors import ModelError
from wenmo.files import disk_errors, write_text
from wenmo.models.ngram import NgramModel
from wenmo.progress import duration, quantity, track
from wenmo.workflow.texts import Texts

TEACHING_SHARE = 0.35
"""Largest share of what is left of the budget for asking the teacher."""
PROBE_TOKENS = 1_024
"""Tokens on which its speed is measured."""
MARGIN = 1.2
"""Asking may take this much longer than the measured speeds say."""


class TeachingPlan(Settings):
    """How much of the text the teacher is asked about, fully resolved.

    The same text, teacher and plan give the same targets.
    """

    counted: int
    """Tokens that the n-gram models count; 0 without one."""
    taught: int
    """Tokens that targets are made for."""
    folds: int
    """Folds of the text for the n-gram models."""
    seed: int
    """Of the order of reading."""
    seconds: float
    """What this is expected to take."""

    def summary(self, teacher: Teacher, known: npt.NDArray[np.integer], length: int) -> str:
        """One line for people."""
        weights = ", ".join(f"{name} {share:.2f}" for name, share in teacher.mean_weights(known).items())
        part = "all" if self.taught >= length else f"{self.taught / length:.0%}"
        folds = f"; n-gram counts of {self.folds} folds, each without its own" if self.counted else ""
        return (
            f"teacher ({weights}): asked about {quantity(self.taught, '')} tokens, {part} of the text, "
            f"{duration(self.seconds)}{folds}"
        )


@dataclass(frozen=True)
class _Speeds:
    """Seconds per token: counting, foretelling, and reading with all other members."""

    counting: float
    foretelling: float
    reading: float


def plan_teaching(teacher: Teacher, texts: Texts, seconds: float, folds: int, seed: int) -> TeachingPlan:
    """Measures the teacher and decides how much of the text it can be asked about.

    Args:
        teacher: The teacher.
        texts: The text.
        seconds: Time for it; infinite where steps decide.
        folds: Folds for the n-gram model.
        seed: Of the order of reading.
    """
    length = len(texts.train.ids)
    speeds = _measure(teacher, texts)
    counted = taught = float(length)
    per_counted = speeds.counting * folds * MARGIN
    per_taught = (speeds.foretelling + speeds.reading) * MARGIN
    if math.isfinite(seconds):
        # At most a third of the time for counting: what is left of it is better spent on more targets.
        counted = min(counted, seconds / 3.0 / max(per_counted, 1e-12))
        taught = min(counted, (seconds - counted * per_counted) / max(per_taught, 1e-12))
    counted, taught = max(counted, 2.0 * BLOCK), max(taught, float(BLOCK))
    counted, taught = min(counted, length), min(taught, length)
    return TeachingPlan(
        counted=int(counted) if teacher.ngram is not None else 0,
        taught=int(taught),
        folds=folds,
        seed=seed,
        seconds=round(counted * per_counted + taught * per_taught, 2),
    )


def _measure(teacher: Teacher, texts: Texts) -> _Speeds:
    """Times the teacher on the first training tokens."""
    ids = np.asarray(texts.train.ids[:PROBE_TOKENS], np.int64)
    eos_id, per_token = texts.tokenizer.eos_id, 1.0 / len(ids)
    counting_time = foretelling = reading = 0.0
    if teacher.ngram is not None:
        model = teacher.ngram.adaptive_copy()
        top = np.zeros((len(ids), PLACES), np.int32)
        probabilities = np.zeros(top.shape, np.float32)
        before = np.full(1, eos_id)
        model.foretell(ids[:8], top[:8], probabilities[:8], before=before)  # compiles
        started = time.perf_counter()
        model.foretell(ids, top, probabilities, share=counting.SHARE, before=before)
        foretelling = (time.perf_counter() - started) * per_token
        started = time.perf_counter()
        model.learn(ids, eos_id)
        counting_time = (time.perf_counter() - started) * per_token
    if teacher.readers:
        room = Targets(np.zeros((len(ids), PLACES), np.uint32), np.zeros((len(ids), PLACES), np.float16))
        known = np.zeros(len(ids), np.uint8)
        for _ in range(2):  # the first time it warms up
            started = time.perf_counter()
            counted = room if teacher.ngram is not None else None
            write_block(teacher, ids, 0, len(ids), eos_id, counted, known, room)
            reading = (time.perf_counter() - started) * per_token
    return _Speeds(counting_time, foretelling, reading)


def teach(
    teacher: Teacher, texts: Texts, plan: TeachingPlan, directory: Path, progress: bool = True
) -> Targets:
    """Asks the teacher, or goes on where it was interrupted: after whole folds, and after whole blocks.

    Args:
        teacher: The teacher.
        texts: The text.
        plan: How much of it.
        directory: Where the targets are kept.
        progress: Whether to show a progress line.

    Raises:
        ResourceError: When the disk is full.
        ModelError: When what was kept is damaged.
    """
    length, vocab_size = len(texts.train.ids), texts.tokenizer.vocab_size
    done = _Done(directory / "done.json")
    counts, mixed = directory / "ngram", directory / "mixed"
    if not done.begun:
        for needed, folder in ((teacher.ngram, counts), (teacher.readers, mixed)):
            if needed:
                Targets.create(folder, length, vocab_size)
        with disk_errors(directory):
            np.memmap(directory / "known.bin", np.uint8, "w+", shape=(length,)).flush()
        done.keep(folds=0, blocks=0)
    known = np.memmap(directory / "known.bin", np.uint8, "r+", shape=(length,))
    selection = select(
        length, texts.train.num_documents, plan.counted or length, plan.taught, plan.folds, plan.seed
    )
    counted = None
    if teacher.ngram is not None:
        counted = Targets.open(counts, writable=True)
        _count(teacher.ngram, texts, plan, selection, counted, known, done, progress)
    if teacher.readers:
        _read(teacher, texts, selection, counted, known, Targets.open(mixed, writable=True), done, progress)
    return Targets.open(mixed if teacher.readers else counts)


class _Done:
    """What is finished, on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.folds = self.blocks = 0
        self.begun = path.is_file()
        if self.begun:
            try:
                facts = json.loads(path.read_text(encoding="utf-8"))
                self.folds, self.blocks = int(facts["folds"]), int(facts["blocks"])
            except (ValueError, KeyError, TypeError) as error:
                raise ModelError(
                    f"{path} is damaged; delete the folder of the run and start again"
                ) from error

    def keep(self, *, folds: int, blocks: int) -> None:
        """Writes what is finished."""
        self.folds, self.blocks = folds, blocks
        write_text(self._path, json.dumps({"folds": folds, "blocks": blocks}))


def _count(
    ngram: NgramModel,
    texts: Texts,
    plan: TeachingPlan,
    selection: Selection,
    targets: Targets,
    known: npt.NDArray[np.uint8],
    done: _Done,
    progress: bool,
) -> None:
    folds = list(folds_of(selection, plan.folds))
    total = float(len(folds) * selection.counted_tokens)
    with track("teacher: n-gram", total, "tokens", progress) as shown:
        shown.update(done.folds * float(selection.counted_tokens))
        for number, (counted, fold) in enumerate(folds):
            if number < done.folds:
                continue
            foretell_fold(
                ngram.config, texts.train.ids, texts.tokenizer.token_bytes, counted, fold, selection.taught,
                targets, known, texts.tokenizer.eos_id, shown,
            )  # fmt: skip
            done.keep(folds=number + 1, blocks=0)


def _read(
    teacher: Teacher,
    texts: Texts,
    selection: Selection,
    counted: Targets | None,
    known: npt.NDArray[np.uint8],
    targets: Targets,
    done: _Done,
    progress: bool,
) -> None:
    """Asks the other members and mixes in what the n-gram model expects."""
    with track("teacher", float(selection.taught_tokens), "tokens", progress) as shown:
        for number, (start, end) in enumerate(sorted(selection.taught)):
            if number >= done.blocks:
                write_block(
                    teacher, texts.train.ids, start, end, texts.tokenizer.eos_id, counted, known, targets
                )
                done.keep(folds=done.folds, blocks=number + 1)
            shown.advance(float(end - start))
