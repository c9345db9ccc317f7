"""Question answering: answers cut out of the user's own documents, shown with their place and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from cyclopts import Parameter
from pydantic import Field

from wenmo.errors import OptionError
from wenmo.tasking.contract import Section, Task, TaskContext, TaskModel, TaskOutcome, TaskSettings
from wenmo.tasking.terminal import Terminal

if TYPE_CHECKING:
    from wenmo.answering.experiment import Scored
    from wenmo.answering.gathering import Material
    from wenmo.answering.reader import Reader
    from wenmo.answering.results import Asked
    from wenmo.answering.system import QuestionAnswering
    from wenmo.answering.training import ReaderRun
    from wenmo.retrieval.bm25 import Index


class QuestionAnsweringSettings(TaskSettings):
    """Options of the task."""

    documents: tuple[str, ...] = ()
    """Files or folders with raw text: searched for the answers of plain pairs, and made into practice questions."""
    question_field: str | None = None
    """Column with the questions."""
    answer_field: str | None = None
    """Column with the answers."""
    context_field: str | None = None
    """Column with the passages that the answers stand in, if there is one."""
    mode: Literal["auto", "reader", "faq", "retrieval"] = "auto"
    """`reader` cuts answers out of passages; `faq` stores the pairs; `retrieval` shows sentences, without training."""
    passages: Annotated[int, Field(ge=1, le=100)] = 5
    """Passages that are read for each question."""
    made_share: Annotated[float, Field(ge=0.0, le=0.9)] = 0.3
    """Share of the training time for practice questions made from the raw text of passages and documents."""
    made_questions: Annotated[int, Field(ge=0)] = 60_000
    """Practice questions at most; no more are made than can be read within the budget."""
    unanswerable: Annotated[float, Field(ge=0.0, le=2.0)] = 0.15
    """Questions paired with a wrong passage to learn from, as a share of the real ones."""
    hidden: Annotated[int, Field(ge=8, le=1024)] = 64
    """Hidden units of each direction of the reader's LSTMs."""
    max_span: Annotated[int, Field(ge=1, le=512)] = 64
    """Longest answer, in characters (Chinese) or words."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.3
    """Dropout of the reader."""
    lr: Annotated[float, Field(gt=0)] = 2e-3
    """Peak learning rate."""
    steps: Annotated[int, Field(ge=1)] | None = None
    """Optimiser steps of each stage, instead of the time budget."""


class QuestionAnsweringModel(TaskModel):
    """A trained question-answering model, ready for use.

    Args:
        system: What answers.
    """

    def __init__(self, system: QuestionAnswering) -> None:
        self.system = system

    def save(self, directory: Path) -> None:
        """See `TaskModel`."""
        self.system.save(directory)

    def predict(self, inputs: Sequence[Any], **options: Any) -> list[Asked]:
        """Answers questions.

        Args:
            inputs: Questions, or mappings with `question` and `context` (the passage to read).
            **options: `documents` (paths that are searched; by default what the model was made with), `index` (an
                opened index), `count` (most answers).
        """
        index: Index | None = options.get("index")
        if options.get("documents"):
            from wenmo.retrieval import update_index

            index, _ = update_index(options["documents"], None, progress=False)
        count = options.get("count", 3)
        results = []
        for item in inputs:
            if isinstance(item, str):
                results.append(self.system.ask(item, index, count))
            elif item.get("context"):
                results.append(self.system.ask_of(item["question"], item["context"], count))
            else:
                results.append(self.system.ask(item["question"], index, count))
        return results


class QuestionAnsweringTask(Task):
    """See the module."""

    name = "question_answering"
    summary = "Answer questions from your own documents, or from stored questions."
    settings = QuestionAnsweringSettings
    verbs: ClassVar[dict[str, str]] = {"ask": "Ask your documents a question."}

    def check(self, settings: QuestionAnsweringSettings) -> None:
        """See `Task`."""
        if settings.mode in ("faq", "retrieval") and settings.from_model is not None:
            raise OptionError(
                f"--from: the mode {settings.mode} trains no network; leave it out, or take --mode reader"
            )
        if settings.mode == "faq" and settings.documents:
            raise OptionError(
                "--documents: a FAQ answers from its pairs; leave them out, or take --mode reader"
            )

    def train(
        self, paths: Sequence[str], settings: QuestionAnsweringSettings, context: TaskContext
    ) -> TaskOutcome:
        """See `Task`."""
        from wenmo.answering.gathering import gather_material

        material = gather_material(
            paths,
            settings.documents,
            held=(settings.valid, settings.test),
            fractions=(settings.valid_fraction, settings.test_fraction),
            fields=(settings.question_field, settings.answer_field, settings.context_field),
            encoding=settings.encoding,
            seed=settings.seed,
            faq={"auto": None, "faq": True}.get(settings.mode, False),
            made=min(settings.made_questions, round(_PER_SECOND * context.budget)),
            progress=context.progress,
        )
        for note in material.notes:
            context.say(note)
        if material.stored:
            return _faq_outcome(material, settings, context)
        return _reader_outcome(material, settings, context)

    def load(self, directory: Path) -> QuestionAnsweringModel:
        """See `Task`."""
        from wenmo.answering.system import QuestionAnswering

        return QuestionAnsweringModel(QuestionAnswering.load(directory))


TASK = QuestionAnsweringTask()
FEW = 30
"""Held-out questions of a FAQ below which its score says little."""
_PER_SECOND = 60
"""Practice questions made for each second of the budget: more than a core reads."""
_READING = 0.8
"""Share of the time that is left for training the reader; the rest is for the threshold and the scores."""


def _faq_outcome(
    material: Material, settings: QuestionAnsweringSettings, context: TaskContext
) -> TaskOutcome:
    from wenmo.answering.faq import fit_faq, score_faq
    from wenmo.answering.searching import Combination
    from wenmo.answering.system import QuestionAnswering

    faq = fit_faq(material.stored, material.stored_valid, settings.seed)
    scores, baseline, asked = score_faq(faq, material.stored_test, settings.seed)
    system = QuestionAnswering(
        None, Combination(weight=0.0, passages=settings.passages, confidence=None), faq=faq
    )
    how = (
        f"{asked} held-out questions whose answer is stored under another wording"
        if material.stored_test
        else f"{asked} stored questions, reworded by chance (every answer has one wording only)"
    )
    examples = {
        "stored": len(material.stored),
        "valid": len(material.stored_valid),
        "test": len(material.stored_test),
    }
    verdict = (
        f"{scores['accuracy']:.1f} % of {how} found their answer, and {scores['refused']:.1f} % of the questions "
        "without a stored answer were refused."
        + (f" So few ({asked}) say little: give each answer in several wordings." if asked < FEW else "")
    )
    return TaskOutcome(
        model=QuestionAnsweringModel(system),
        metric="accuracy",
        scores=scores,
        baselines={"most words in common": baseline},
        examples=examples,
        dropped=material.dropped,
        verdict=verdict,
    )


def _reader_outcome(
    material: Material, settings: QuestionAnsweringSettings, context: TaskContext
) -> TaskOutcome:
    from wenmo.answering.experiment import reading_rate, score_all
    from wenmo.answering.searching import fit_combination
    from wenmo.answering.system import QuestionAnswering
    from wenmo.answering.training import ReaderRun

    reader: Reader | None = None
    run = ReaderRun()
    if settings.mode != "retrieval":
        reader, run = _train_reader(material, settings, context)
    held = material.valid or material.test
    # A question is read with about ten passages; a third of what is left is for this.
    rate = reading_rate(reader, held) if reader else 1e3
    most = min(400, max(30, round(context.left / 3 * rate / 10)))
    combination = fit_combination(reader, material.index, held, settings.passages, most)
    scored = score_all(reader, combination, material.index, material.test, max(context.left - 5, 1))
    system = QuestionAnswering(reader, combination, material.index)
    dropped = dict(material.dropped)
    if run.left_out:
        dropped[f"answer longer than --max-span {settings.max_span}"] = run.left_out
    fitted = combination.confidence
    if fitted is not None:
        context.say(
            f"an answer is given from a confidence of {fitted.threshold:.2f} on: on {fitted.count} held-out questions "
            f"that keeps F1 {fitted.answerable_f1:.1f} and refuses {fitted.refused:.0f} % of those without an answer"
        )
    else:
        context.say(
            "too few held-out questions to fit a threshold: every answer is given, with its confidence"
        )
    return TaskOutcome(
        model=QuestionAnsweringModel(system),
        metric="f1",
        scores=scored.scores,
        baselines={"sentence with the most overlap": scored.sentence},
        examples={
            "train": len(material.train),
            "made": len(material.made) if reader else 0,
            "valid": len(material.valid),
            "test": len(material.test),
        },
        dropped=dropped,
        verdict=_verdict(
            scored.scores, scored.sentence, len(material.test), material.real, reader is not None
        ),
        signatures={"f1": material.signature},
        sections=_sections(run, scored),
    )


def _sections(run: ReaderRun, scored: Scored) -> list[Section]:
    curve = tuple(
        (
            round(float(point["minutes"]), 2),
            str(point["stage"]),
            int(point["examples"]),
            round(float(point["loss"]), 3),
            round(float(point.get("dev_f1", 0.0)), 1),
            round(float(point.get("dev_exact", 0.0)), 1),
        )
        for point in run.curve
    )
    learned = Section(
        "How the reader learned",
        ("F1 and exact match are of held-out questions with their right passage.",),
        ("minutes", "questions", "read", "loss", "F1", "exact match"),
        curve,
    )
    answers = Section(
        "Answers to held-out questions",
        ("Found in all passages; nothing stands where the answer was not sure enough to be given.",),
        ("question", "answer", "accepted answer", "confidence"),
        scored.shown,
    )
    return [learned, answers] if curve else [answers]


def _train_reader(
    material: Material, settings: QuestionAnsweringSettings, context: TaskContext
) -> tuple[Reader, ReaderRun]:
    from wenmo.answering.contextual import READING_SHARE, LanguageVectors, reading_seconds
    from wenmo.answering.examples import without_answer
    from wenmo.answering.network import ReaderConfig
    from wenmo.answering.training import ReaderSettings, train_reader
    from wenmo.progress import duration

    contexts = list(dict.fromkeys(example.context for example in material.train))
    wrong = without_answer(material.train, contexts, settings.unanswerable, settings.seed)
    seconds = context.left * _READING
    if settings.steps is None:
        context.say(f"the reader is trained for {duration(seconds)} and needs about 1 GB of memory")
    outside = LanguageVectors.load(settings.from_model) if settings.from_model else None
    if outside is not None and settings.steps is None:
        learned = [*material.train, *material.made, *material.valid]
        texts = {text for example in learned for text in (example.question, example.context)}
        reading = reading_seconds(outside, texts)
        if reading > READING_SHARE * seconds:
            context.say(
                f"--from: the language model would read the texts for about {duration(reading)} of the "
                f"{duration(seconds)}, and the reader would learn too little; it is left out (--budget is too short)"
            )
            outside = None
    return train_reader(
        [*material.train, *wrong],
        material.valid,
        ReaderSettings(
            seconds=seconds,
            steps=settings.steps,
            lr=settings.lr,
            made_share=settings.made_share,
            seed=settings.seed,
        ),
        made=material.made,
        outside=outside,
        config=ReaderConfig(
            vocab_size=0, hidden=settings.hidden, max_span=settings.max_span, dropout=settings.dropout
        ),
        say=context.say,
    )


def _verdict(
    scores: dict[str, float], baseline: dict[str, float], count: int, real: bool, reader: bool
) -> str:
    kind = "" if real else " (made from the text itself: real questions will be harder)"
    if not reader:
        return (
            f"Without a reader, answers are whole sentences: the right passage is among the first five for "
            f"{scores['recall_5']:.0f} % of {count} held-out questions{kind}."
        )
    better = "better" if scores["f1"] > baseline["f1"] else "NOT better"
    few = " That is few questions: the score may be off by several points." if count < 200 else ""
    return (
        f"On {count} held-out questions{kind} the reader reaches F1 {scores['f1']:.1f} on the right passage, "
        f"{better} than the sentence with the most overlap ({baseline['f1']:.1f}), and "
        f"{scores['end_to_end_f1']:.1f} when it must find the passage and may refuse.{few}"
    )


def ask(
    model: Path,
    words: list[str] | None = None,
    /,
    *,
    interactive: Annotated[bool, Parameter(name=("--interactive", "-i"), negative=())] = False,
    file: list[Path] | None = None,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    count: int = 3,
    index: Path | None = None,
    text_field: str | None = None,
    question_field: str | None = None,
    encoding: str | None = None,
    terminal: Terminal,
) -> None:
    """Ask your documents a question.

    Args:
        model: Folder of a model made with train --task question_answering.
        words: Documents (files, folders, patterns), then the question. Without documents the model answers from what
            it was made with; without a question it asks for one after another.
        interactive: Ask for questions, also after the one that was given.
        file: File of questions, one a line or row; may be given several times.
        output: Write the answers to this file (csv, tsv, jsonl, parquet).
        count: Most answers to a question.
        index: Where the index of the documents stands, so that it is not made again; in the cache when not given.
        text_field: Field or column with the text of documents that are rows.
        question_field: Column of the file with the questions.
        encoding: Encoding of the documents and files; detected when not given.
        terminal: Where the result goes.
    """
    from wenmo.answering.asking import cached_index, documents_and_question
    from wenmo.answering.data import QUESTION
    from wenmo.answering.results import shown
    from wenmo.tasking.batch import check_written, gather, write_rows
    from wenmo.tasking.running import load_task

    if output is not None:
        check_written(output)
    documents, question = documents_and_question(words or [], batch=bool(file))
    loaded = load_task(TASK, model)
    assert isinstance(loaded, QuestionAnsweringModel)
    opened = None
    if documents:
        opened, sentence = cached_index(documents, index, text_field, encoding, terminal.progress)
        terminal.tell(sentence)
    if file:
        items = gather(
            [question] if question else [],
            file,
            column=question_field,
            encoding=encoding,
            names=QUESTION,
            option="--question-field",
        )
        results = loaded.predict([item.text for item in items], index=opened, count=count)
        if output is not None:
            write_rows(
                output,
                [
                    item.row
                    | {"question": item.text, "answer": r.answer, "confidence": r.confidence}
                    | {
                        "source": r.answers[0].source if r.found else "",
                        "line": r.answers[0].line if r.found else "",
                    }
                    for item, r in zip(items, results, strict=True)
                ],
            )
        found = sum(result.found for result in results)
        text = "\n\n".join(f"{result.question}\n{shown(result)}" for result in results)
        terminal.result(
            {"answers": [result.model_dump(mode="json") for result in results]},
            text if output is None else f"{found} of {len(results)} questions answered: {output}",
        )
        return
    if question:
        result = loaded.predict([question], index=opened, count=count)[0]
        terminal.result(result, shown(result))
    if interactive or not question:
        while (line := terminal.ask("question (Ctrl-D ends): ")) is not None:
            if line.strip():
                result = loaded.predict([line.strip()], index=opened, count=count)[0]
                terminal.result(result, shown(result))
