"""Training of a reader: two stages (made questions, real questions) on one clock, the best weights kept."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from wenmo.answering.batches import Encoder, Outside, Pair, collate, grouped
from wenmo.answering.examples import Example
from wenmo.answering.network import ReaderConfig, ReaderNetwork
from wenmo.answering.reader import Reader
from wenmo.answering.scores import AnswerScores, is_chinese, score_answers
from wenmo.answering.spans import span_loss
from wenmo.answering.vocabulary import UnitVocabulary
from wenmo.errors import TrainingError
from wenmo.training.eager import AdamW
from wenmo.training.optimisation import WeightAverage, lr_factor

STRETCH = 384
"""Units of a passage that are read in training; evaluation reads longer stretches."""


@dataclass(frozen=True)
class ReaderSettings:
    """How a reader is trained.

    Attributes:
        seconds: Wall-clock time for all.
        steps: Optimiser steps of the last stage instead of the time (for tests and repeatable runs).
        lr: Peak learning rate of AdamW.
        weight_decay: Decoupled weight decay of the matrices.
        batch_units: Passage units of a step, padding included.
        made_share: Share of the time for the made questions, where there are any.
        made_mixed: Made questions in every pass over the real ones, as a share of these.
        evaluations: How often the dev questions are answered.
        dev_questions: Most dev questions that are answered each time; fewer where the time is short.
        seed: Order, initial weights, dropout.
    """

    seconds: float = 600.0
    steps: int | None = None
    lr: float = 2e-3
    weight_decay: float = 0.02
    batch_units: int = 12_288
    made_share: float = 0.3
    made_mixed: float = 0.15
    evaluations: int = 12
    dev_questions: int = 600
    seed: int = 0


@dataclass
class ReaderRun:
    """What happened in training.

    Attributes:
        curve: Points with minutes, stage, steps, examples, loss, dev_f1 and dev_exact.
        left_out: Examples that could not be used: an answer longer than the longest span, or no text.
    """

    curve: list[dict[str, float | str]] = field(default_factory=list)
    left_out: int = 0


def score_reader(reader: Reader, examples: Sequence[Example]) -> AnswerScores:
    """Scores a reader on questions with the right passage.

    Args:
        reader: The reader.
        examples: Questions with answers; every one is answered.
    """
    found = reader.read([(example.question, example.context) for example in examples], count=1)
    answers = [answer.spans[0].text if answer.spans else "" for answer in found]
    chinese = sum(is_chinese(example.context) for example in examples) * 2 > len(examples)
    return score_answers(answers, [example.texts for example in examples], chinese)


def _batches(
    real: Sequence[Example],
    made: Sequence[Example],
    mixed: float,
    units: int,
    encoder: Encoder,
    rng: random.Random,
) -> Iterator[list[Example]]:
    """Batches without end; every pass takes all real examples and another sample of the made ones."""
    while True:
        extra = rng.sample(made, min(len(made), round(mixed * len(real)))) if mixed else []
        examples = [*real, *extra]
        lengths = [min(len(encoder.text(example.context).units), STRETCH) for example in examples]
        for batch in grouped(lengths, units, rng):
            yield [examples[place] for place in batch]


def train_reader(
    train: Sequence[Example],
    dev: Sequence[Example],
    settings: ReaderSettings,
    *,
    made: Sequence[Example] = (),
    vocabulary: UnitVocabulary | None = None,
    outside: Outside | None = None,
    config: ReaderConfig | None = None,
    say: Callable[[str], None] = lambda sentence: None,
) -> tuple[Reader, ReaderRun]:
    """Trains a reader.

    Args:
        train: Questions to learn from, with and without answers.
        dev: Held-out questions that choose the weights; may be empty, then the last average is kept.
        settings: See there.
        made: Questions made from raw text (`pretraining`), learned from first.
        vocabulary: Known units; counted from `train` and `made` when None.
        outside: A language model's vectors.
        config: Shape; `vocab_size` and `outside` are filled in.
        say: Receives a line for each evaluation.

    Raises:
        TrainingError: When no example can be used, or the loss is not finite.
    """
    start = time.monotonic()
    rng = random.Random(settings.seed)
    torch.manual_seed(settings.seed)
    if vocabulary is None:
        from wenmo.answering.units import cut_units

        # Made questions repeat what their passages say, so that a sample of them shows every unit that matters.
        sample = random.Random(2).sample(list(made), min(len(made), 4_000))
        texts = dict.fromkeys(text for e in [*train, *sample] for text in (e.context, e.question))
        vocabulary = UnitVocabulary.count(cut_units(text) for text in texts)
    encoder = Encoder(vocabulary, outside)
    shape = {"vocab_size": len(vocabulary), "outside": outside.size if outside else 0}
    network = ReaderNetwork((config or ReaderConfig(vocab_size=0)).model_copy(update=shape))
    reader, run = Reader(network, vocabulary, outside), ReaderRun()
    reader.encoder = encoder
    dev = [example for example in dev if example.answers]
    random.Random(1).shuffle(dev)
    dev = _affordable(reader, dev[: settings.dev_questions], settings)
    made = list(made)
    stages: list[tuple[str, list[Example], float]] = []
    if made and (settings.made_share > 0 or not train):
        stages.append(("made", made, settings.made_share if train else 1.0))
    if train:
        stages.append(("real", list(train), 1.0))
    if not stages:
        raise TrainingError("there is no question to learn from")
    kept, best = None, -1.0
    for number, (name, examples, share) in enumerate(stages):
        begin = time.monotonic()
        last = number == len(stages) - 1
        end = start + settings.seconds if last else begin + share * (start + settings.seconds - begin)
        stage = _Stage(network, encoder, settings, rng, name, run)
        points = max(1, round(settings.evaluations * (1 if last else 0.3)))
        extra = made if name == "real" else []
        for point in stage.train(examples, extra, begin, end, points):
            point["minutes"] = (time.monotonic() - start) / 60
            if dev:
                stage.average.swap()
                scores = score_reader(reader, dev)
                stage.average.swap()
                point |= {"dev_f1": scores.f1, "dev_exact": scores.exact}
                if last and scores.f1 > best:
                    best, kept = scores.f1, [w.clone() for w in stage.average.weights]
            run.curve.append(point)
            say(_line(point))
        stage.average.swap()
    if kept is not None:
        with torch.no_grad():
            for parameter, value in zip(network.parameters(), kept, strict=True):
                parameter.copy_(value)
    network.eval()
    return reader, run


def _affordable(reader: Reader, dev: list[Example], settings: ReaderSettings) -> list[Example]:
    """As many dev questions as can be answered at every evaluation in a tenth of the time; not below a hundred."""
    if settings.steps or len(dev) <= 100:
        return dev
    few = dev[:50]
    start = time.monotonic()
    reader.read([(example.question, example.context) for example in few], count=1)
    rate = len(few) / max(time.monotonic() - start, 1e-6)
    return dev[: max(100, round(0.1 * settings.seconds * rate / (1.3 * settings.evaluations)))]


def _line(point: dict[str, float | str]) -> str:
    dev = f", dev F1 {point['dev_f1']:.1f}, exact {point['dev_exact']:.1f}" if "dev_f1" in point else ""
    return (
        f"{point['minutes']:.1f} min, {point['stage']} questions, {point['examples']:.0f} read, "
        f"loss {point['loss']:.3f}{dev}"
    )


class _Stage:
    """One stage: its own optimiser, schedule and average."""

    def __init__(
        self,
        network: ReaderNetwork,
        encoder: Encoder,
        settings: ReaderSettings,
        rng: random.Random,
        name: str,
        run: ReaderRun,
    ) -> None:
        matrices = [p for p in network.parameters() if p.ndim > 1]
        vectors = [p for p in network.parameters() if p.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self.optimizer = AdamW(groups, lr=settings.lr, betas=(0.9, 0.98), fused=True)
        self.average = WeightAverage(network, 0.05)
        self.network, self.encoder, self.settings, self.rng, self.name = network, encoder, settings, rng, name
        self.run = run

    def train(
        self, examples: Sequence[Example], extra: Sequence[Example], begin: float, end: float, points: int
    ) -> Iterator[dict[str, float | str]]:
        """Yields a point `points` times, the last at the end; time spent outside is the clock's too."""
        settings, done, read, total, losses = self.settings, 0, 0, 0.0, 0
        unusable: set[int] = set()
        mixed = settings.made_mixed
        for batch in _batches(examples, extra, mixed, settings.batch_units, self.encoder, self.rng):
            progress = (
                done / settings.steps
                if settings.steps
                else (time.monotonic() - begin) / max(end - begin, 1e-6)
            )
            pairs = []
            for example in batch:
                pair = self.encoder.example(example, STRETCH, self.rng, self.network.config.max_span)
                if pair is None or not len(pair.question_features):
                    unusable.add(id(example))
                else:
                    pairs.append(pair)
            if not pairs:
                if len(unusable) >= len(examples):
                    raise TrainingError(
                        "no question can be learned from: every answer is too long, or there is no text"
                    )
                continue
            loss = self._step(pairs, progress)
            total, losses = total + loss * len(pairs), losses + len(pairs)
            done, read = done + 1, read + len(pairs)
            progress = (
                done / settings.steps
                if settings.steps
                else (time.monotonic() - begin) / max(end - begin, 1e-6)
            )
            if progress >= 1 or progress >= (self._yielded + 1) / points:
                self._yielded += 1
                yield {"stage": self.name, "steps": done, "examples": read, "loss": total / losses}
                total, losses = 0.0, 0
            if progress >= 1:
                self.run.left_out = len(unusable)
                return

    _yielded = 0

    def _step(self, pairs: list[Pair], progress: float) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.lr * lr_factor("wsd", progress, warmup=0.03, decay=0.6)
        self.network.train()
        loss = span_loss(self.network(collate(pairs)), [pair.spans for pair in pairs])
        if not torch.isfinite(loss):
            raise TrainingError("the loss of the reader is not finite; train again with a lower --lr")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.average.update()
        return float(loss.detach())
