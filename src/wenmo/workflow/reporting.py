"""The end of a run: samples, the saved model with its card, and the report."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

import wenmo
from wenmo.evaluation.metrics import longest_copy
from wenmo.evaluation.report import ReportData, Sample, headline, overfitting_verdict, write_report
from wenmo.files import write_text
from wenmo.generation.decoding import complete
from wenmo.models.base import LanguageModel
from wenmo.models.storage import save_model
from wenmo.progress import quantity
from wenmo.workflow.clock import Clock
from wenmo.workflow.members import Member
from wenmo.workflow.result import TrainResult
from wenmo.workflow.run import Run
from wenmo.workflow.scoring import Scores
from wenmo.workflow.texts import Texts
from wenmo.workflow.variety import measure_variety

SAMPLES = 2
SAMPLE_TOKENS = 150
PROMPT_CHARS = 8
SEARCHED_CHARS = 20_000_000
"""Most characters of training text in which a copied stretch is looked for."""


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
        told: Lines that were shown before training.
        teacher: Of a distilled model: the models it was made from and their scores (JSON).
    """

    run: Run
    clock: Clock
    texts: Texts
    model: LanguageModel
    members: list[Member]
    scores: Scores
    told: list[str]
    teacher: dict[str, Any] | None = None


def kept_corpus(run: Run, texts: Texts) -> Path:
    """Where the corpus will be when the run is finished: beside the model, or where the user prepared it."""
    if texts.corpus.path.absolute() == run.part("corpus"):
        return run.output.with_name(run.output.name + ".corpus")
    return texts.corpus.path.absolute()


def save(outcome: Outcome) -> TrainResult:
    """Writes samples, saves the model and makes the report; returns what `wenmo train` returns."""
    run, texts, scores = outcome.run, outcome.texts, outcome.scores
    samples = [_sample(outcome, seed) for seed in range(SAMPLES)]
    variety = measure_variety(outcome.model, texts, run.recipe.generation, outcome.clock.variety)
    curves = {
        member.name: [dict(vars(row)) for row in member.curve] for member in outcome.members if member.curve
    }
    verdicts = {name: overfitting_verdict(rows).sentence for name, rows in curves.items()}
    stops = [member.stopped for member in outcome.members if member.stopped]
    recipe = resolved(outcome)
    report = run.output / "report.html"
    result = TrainResult(
        model=str(run.output),
        seconds=round(outcome.clock.elapsed, 2),
        budget=outcome.clock.budget,
        bits_per_byte=scores.prequential,
        protocol=scores.protocol,
        static_bits_per_byte=scores.static,
        bytes=scores.bytes,
        baselines=scores.baselines,
        members=scores.members,
        weights=scores.weights,
        parameters={member.name: member.model.num_parameters() for member in outcome.members},
        stopped=stops[-1] if stops and stops[-1] != "interrupted" else "finished",
        verdict=" ".join(verdicts.values())
        or "An n-gram model counts; it is scored on text it has not counted.",
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
        baselines=result.baselines,
        teacher=None if outcome.teacher is None else outcome.teacher["static_bits_per_byte"],
        curves=curves,
        corpus=_facts(texts),
        recipe=recipe,
        samples=samples,
        diversity=result.diversity,
        human_diversity=result.human_diversity,
        searched=1.0 if variety is None else variety.searched,
        notes=outcome.told,
        machine=_machine(),
        versions={
            "wenmo": wenmo.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
    )
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
    return result.model_copy(update={"seconds": round(outcome.clock.elapsed, 2)})


def _sample(outcome: Outcome, seed: int) -> Sample:
    settings = outcome.run.recipe.generation.model_copy(
        update={"max_tokens": SAMPLE_TOKENS, "seed": seed, "n": 1, "beams": 1}
    )
    tokenizer = outcome.texts.tokenizer
    prompt = _opening(outcome.texts, (seed + 1) / (SAMPLES + 1))
    text = complete(outcome.model, tokenizer, tokenizer.encode(prompt), settings)[0].text
    return Sample(
        text=text, prompt=prompt, longest_copy=len(longest_copy(text, _searched(outcome.texts)).text)
    )


def _opening(texts: Texts, share: float) -> str:
    """The first words of a line of the test text, at a share of the way through it."""
    ids = texts.test.ids
    start = int(share * len(ids))
    lines = texts.tokenizer.decode(ids[start : start + 400]).split("\n")[1:]
    line = next((line.strip() for line in lines if len(line.strip()) >= PROMPT_CHARS), "")
    words = line[: 2 * PROMPT_CHARS].split(" ")
    return " ".join(words[:-1]) if len(words) > 2 else line[:PROMPT_CHARS]


def _searched(texts: Texts) -> list[str]:
    """The first documents of the training text, up to `SEARCHED_CHARS`."""
    found: list[str] = []
    room = SEARCHED_CHARS
    for text in texts.corpus.texts("train"):
        found.append(text[:room])
        room -= len(text)
        if room <= 0:
            break
    return found


def resolved(outcome: Outcome) -> dict[str, Any]:
    """The recipe with everything filled in that was derived, including each member's shape and plan."""
    recipe = outcome.run.recipe.model_dump(mode="json")
    tokenizer = outcome.texts.tokenizer
    recipe["tokenizer"] = {"kind": tokenizer.kind, "vocab_size": tokenizer.vocab_size}
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
        "documents": sum(corpus.count(split) for split in ("train", "valid", "test")),
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
