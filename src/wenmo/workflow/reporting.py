"""The end of a run: samples, the saved model with its card, and the report."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

import wenmo
from wenmo.evaluation import doubling
from wenmo.evaluation.report import ReportData, headline, write_report
from wenmo.evaluation.verdict import Course, further_text, overfitting_verdict
from wenmo.files import write_text
from wenmo.models.base import LanguageModel
from wenmo.models.storage import save_model
from wenmo.progress import duration, quantity
from wenmo.workflow.clock import Clock
from wenmo.workflow.doubling import Halves, twice_the_text
from wenmo.workflow.members import Member
from wenmo.workflow.result import PredictedLoss, TargetOutcome, TrainResult
from wenmo.workflow.run import Run
from wenmo.workflow.samples import write_samples
from wenmo.workflow.scoring import Scores
from wenmo.workflow.texts import Texts
from wenmo.workflow.variety import measure_variety


@dataclass(frozen=True)
class Outcome:
    """All that a finished run has to tell.

    Attributes:
        run: Where and with what recipe.
        clock: Its time.
        texts: Its texts.
        model: The whole model.
        members: Its parts.
        scores: Its scores.
        told: Lines that were shown.
        halves: Losses of the n-gram model on half of the text and on all of it; None where they were not measured.
        teacher: Of a distilled model: the models it was made from and their scores (JSON).
        written: Called when all but saving is done; what it adds to `told` stands in the report.
    """

    run: Run
    clock: Clock
    texts: Texts
    model: LanguageModel
    members: list[Member]
    scores: Scores
    told: list[str]
    halves: Halves | None = None
    teacher: dict[str, Any] | None = None
    written: Callable[[], None] = lambda: None


def kept_corpus(run: Run, texts: Texts) -> Path:
    """Where the corpus will be when the run is finished: beside the model, or where the user prepared it."""
    if texts.corpus.path.absolute() == run.part("corpus"):
        return run.output.with_name(run.output.name + ".corpus")
    return texts.corpus.path.absolute()


def save(outcome: Outcome) -> TrainResult:
    """Writes samples, saves the model and makes the report; returns what `wenmo train` returns."""
    run, texts, scores, clock = outcome.run, outcome.texts, outcome.scores, outcome.clock
    with clock.stage("samples") as seconds:
        samples = write_samples(outcome.model, texts, run.recipe.generation, seconds)
    with clock.stage("variety") as seconds:
        variety = measure_variety(outcome.model, texts, run.recipe.generation, seconds)
    outcome.written()
    curves = {
        member.name: [dict(vars(row)) for row in member.curve] for member in outcome.members if member.curve
    }
    verdicts = {
        member.name: overfitting_verdict(curves[member.name], course_of(member))
        for member in outcome.members
        if member.name in curves
    }
    sentences = {
        member.name: " ".join(
            part
            for part in (
                verdicts[member.name].sentence,
                further_text(member.best, scores.members.get(member.name, scores.static)),
            )
            if part
        )
        for member in outcome.members
        if member.name in verdicts
    }
    twice = None if outcome.teacher is not None else twice_the_text(outcome.members, scores, outcome.halves)
    stops = [member.stopped for member in outcome.members if member.stopped]
    recipe = resolved(outcome)
    report = run.output / "report.html"
    result = TrainResult(
        stages={name: round(seconds, 2) for name, seconds in clock.spent.items()},
        model=str(run.output),
        seconds=round(clock.elapsed, 2),
        budget=clock.budget,
        bits_per_byte=scores.prequential,
        protocol=scores.protocol,
        static_bits_per_byte=scores.static,
        bytes=scores.bytes,
        baselines=scores.baselines,
        members=scores.members,
        weights=scores.weights,
        gains=scores.gains,
        parameters={member.name: member.model.num_parameters() for member in outcome.members},
        predicted=predictions(outcome.members),
        target=target_outcome(outcome.members),
        stopped=stops[-1] if stops and stops[-1] != "interrupted" else "finished",
        overfitting={name: verdict.facts for name, verdict in verdicts.items()},
        twice_the_text=twice,
        verdict=told_verdict(sentences, None if variety is None else variety.warning),
        diversity=None if variety is None else variety.model,
        human_diversity=None if variety is None else variety.people,
        samples=[sample.prompt + sample.text for sample in samples],
        report=str(report),
    )
    corpus = {"path": str(kept_corpus(run, texts)), "fingerprint": texts.corpus.fingerprint}
    info = {"recipe": recipe, "corpus": corpus, "scores": result.model_dump(mode="json", exclude={"samples"})}
    if outcome.teacher is not None:
        info["teacher"] = outcome.teacher
    data = ReportData(
        title=run.output.name,
        seconds=result.seconds,
        budget=result.budget,
        bits_per_byte=result.bits_per_byte,
        protocol=result.protocol,
        bytes=result.bytes,
        members=result.members,
        weights=result.weights,
        gains=result.gains,
        baselines=result.baselines,
        unread=scores.unread,
        teacher=None if outcome.teacher is None else outcome.teacher["static_bits_per_byte"],
        curves=curves,
        verdicts=sentences,
        overfitting=result.overfitting,
        predictions={name: told_prediction(each) for name, each in result.predicted.items()},
        outlook=[
            *([result.target.sentence] if result.target else []),
            *([doubling.sentence(twice)] if twice else []),
        ],
        corpus=_facts(texts),
        recipe=recipe,
        samples=samples,
        diversity=result.diversity,
        human_diversity=result.human_diversity,
        searched=1.0 if variety is None else variety.searched,
        notes=outcome.told,
        stages=result.stages,
        machine=_machine(),
        versions={
            "wenmo": wenmo.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
    )
    with clock.stage("saving"):
        save_model(
            outcome.model,
            run.output,
            tokenizer=texts.tokenizer,
            info=info,
            generation=run.recipe.generation,
            card=_card(data, result),
        )
        for name, rows in curves.items():
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            write_text(run.output / "training" / f"{name}.metrics.jsonl", lines)
        write_report(data, report)
    spent = {name: round(seconds, 2) for name, seconds in clock.spent.items()}
    return result.model_copy(update={"seconds": round(clock.elapsed, 2), "stages": spent})


def told_verdict(verdicts: Mapping[str, str], warning: str | None) -> str:
    """Puts the verdicts on each neural model, by name where there are several, and a warning on separate lines."""
    named = [f"{name}: {verdict}" if len(verdicts) > 1 else verdict for name, verdict in verdicts.items()]
    lines = named or ["An n-gram model counts; it is scored on text it has not counted."]
    return "\n".join([*lines, *([warning] if warning else [])])


def course_of(member: Member) -> Course:
    """What the training of a member did against overfitting."""
    plan = member.plan
    assert plan is not None
    shape = member.model.config.model_dump()
    facts = {
        "dropout": shape.get("dropout"),
        "weight_decay": plan.weight_decay,
        "embedding_decay": plan.embedding_decay,
        "averaging": plan.averaging,
        "patience": plan.patience,
    }
    return Course(facts, member.stopped)


def told_prediction(found: PredictedLoss) -> str:
    """What was predicted and what came, in words."""
    off = f"{abs(found.error):.1%} {'below' if found.error > 0 else 'above'} that"
    return (
        f"After {found.share:.0%} of the training the held-out loss was predicted to end at {found.predicted:.3f} "
        f"({found.low:.3f} to {found.high:.3f}); it ended at {found.measured:.3f}, "
        f"{'as predicted' if abs(found.error) < 0.0005 else off}."
    )


def predictions(members: list[Member]) -> dict[str, PredictedLoss]:
    """What was predicted of each member beside what came; members that ended before their time are left out."""
    return {
        member.name: PredictedLoss(
            share=round(member.ending.share, 4),
            predicted=member.ending.loss,
            low=member.ending.low,
            high=member.ending.high,
            measured=member.best,
            error=member.ending.loss / member.best - 1.0,
        )
        for member in members
        if member.ending is not None and member.best and member.stopped in ("budget", "steps", "early")
    }


def target_outcome(members: list[Member]) -> TargetOutcome | None:
    """What became of the target, by the member that was trained last; None without one."""
    aimed = [member for member in members if member.target is not None and member.whole is not None]
    if not aimed:
        return None
    last = min(aimed, key=lambda member: member.whole or float("inf"))
    assert last.target is not None and last.whole is not None
    reached = last.whole <= last.target
    words = "Reached" if reached else "Not reached in this time"
    return TargetOutcome(
        bits_per_byte=last.target,
        reached=reached,
        measured=last.whole,
        sentence=f"{words}: the target of {last.target:.3f} bits per byte on held-out text that steers. Training ended "
        f"at {last.whole:.3f}, after {duration(last.seconds)}.",
    )


def resolved(outcome: Outcome) -> dict[str, Any]:
    """The recipe with everything filled in that was derived, including each member's shape and plan."""
    recipe = outcome.run.recipe.model_dump(mode="json")
    tokenizer = outcome.texts.tokenizer
    recipe["tokenizer"] = {"kind": tokenizer.kind, "vocab_size": tokenizer.vocab_size}
    if outcome.run.recipe.architecture in ("auto", "mixture"):
        recipe["members"] = [member.name.split("-")[0] for member in outcome.members]
    recipe["trained"] = {
        member.name: {
            "model": member.model.config.model_dump(mode="json"),
            "training": member.plan.model_dump(mode="json") if member.plan else None,
            "epochs": round(member.epochs, 2),
            "seconds": round(member.seconds, 1),
        }
        for member in outcome.members
    }
    return recipe


def _facts(texts: Texts) -> dict[str, str | int | float]:
    corpus = texts.corpus
    return {
        "training text": quantity(corpus.bytes("train"), "B"),
        "held out to steer": quantity(corpus.bytes("valid"), "B"),
        "held out to score": quantity(corpus.bytes("test"), "B"),
        "documents": sum(file.kept for file in corpus.manifest.files),
        "tokenizer": f"{texts.tokenizer.kind}, {texts.tokenizer.vocab_size:,} tokens",
        "bytes per token": round(texts.bytes_per_token, 2),
    }


def _machine() -> dict[str, str | int | float]:
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    return {
        "system": platform.platform(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "GPU": gpu,
    }


def _card(data: ReportData, result: TrainResult) -> str:
    """The model card: what the model is, how good, on what text, and what to mind."""
    scores = [("this model", result.bits_per_byte), *result.members.items()]
    if data.teacher is not None:
        scores.append(("its teacher, static", data.teacher))
    scores += [(f"baseline {name}", value) for name, value in result.baselines.items()]
    table = "\n".join(f"| {name} | {value:.4f} |" for name, value in scores)
    facts = "\n".join(f"- {name}: {value}" for name, value in data.corpus.items())
    notes = "\n".join(f"- {line}" for line in islice(data.notes, 20))
    return f"""# {data.title}

A language model made with wenmo {wenmo.__version__} from its owner's text.

{headline(data)}

| | bits per byte |
|---|---|
{table}

Scored on {result.bytes:,} bytes of text that was never trained on ({result.protocol}; members: static).

## Text

{facts}

## Training

{notes}

{result.verdict}

## Privacy

Trained on the machine of its owner; nothing was sent anywhere. Like any language model it can repeat stretches of
its training text, and the tables of an n-gram member hold its statistics in plain form: share it as you would share
the text.
"""
