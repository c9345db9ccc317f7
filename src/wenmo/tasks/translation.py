"""Translation, trained on the user's own sentence pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from wenmo.config import Fraction
from wenmo.errors import InputError, OptionError
from wenmo.tasking.contract import Section, Task, TaskContext, TaskModel, TaskOutcome, TaskSettings
from wenmo.tasking.terminal import Terminal

if TYPE_CHECKING:
    from wenmo.seq2seq.fitting import FitSettings, Fitted
    from wenmo.seq2seq.judging import Judged
    from wenmo.seq2seq.results import TranslationResult
    from wenmo.seq2seq.translator import Translator

FEWEST = 10
"""Pairs below which nothing can be learned and held out."""
SHOWN = 12
"""Translations shown in the report."""
DOCUMENTS = (".txt", ".text", ".md", ".markdown")
"""Files whose layout is kept."""


class TranslationSettings(TaskSettings):
    """Options of translation."""

    direction: Literal["forward", "backward", "both"] = "forward"
    """From the first side of the pairs to the second, back, or both in one model."""
    source_field: str | None = None
    """Column with the source (of TMX: its language); guessed when not given."""
    target_field: str | None = None
    """Column with its translation (of TMX: its language); guessed when not given."""
    script: Literal["keep", "simplified", "traditional"] = "keep"
    """Writes Chinese in one script before training."""
    max_ratio: Annotated[float, Field(gt=1)] = 3.0
    """Leaves out pairs whose ratio of lengths is this many times larger or smaller than usual."""
    arch: Literal["auto", "transformer", "lstm", "gru"] = "auto"
    """Model family; the recurrent ones have attention."""
    layers: Annotated[int, Field(ge=1)] | None = None
    """Layers of the encoder, and of the decoder; chosen from pairs and budget when not given."""
    width: Annotated[int, Field(ge=16, multiple_of=16)] | None = None
    """Size of the vectors; chosen from pairs and budget when not given."""
    dropout: Fraction | None = None
    """Dropout; chosen from the number of passes over the pairs when not given."""
    vocab_size: Annotated[int, Field(ge=300)] | None = None
    """Tokens of the tokenizer of both sides; chosen from the pairs when not given."""
    optimizer: Literal["muon", "adamw"] = "muon"
    """Optimiser of the matrices."""
    lr: Annotated[float, Field(gt=0)] | None = None
    """Peak learning rate of AdamW (with Muon: of its AdamW part)."""
    muon_lr: Annotated[float, Field(gt=0)] = 0.02
    """Peak learning rate of Muon."""
    batch_tokens: Annotated[int, Field(ge=16)] | None = None
    """Tokens of a batch."""
    label_smoothing: Fraction = 0.1
    """Probability spread over the vocabulary in the training loss."""
    rdrop: Annotated[float, Field(ge=0)] = 0.0
    """Weight of R-Drop, two passes with different dropout that must agree; 0 is off."""
    steps: Annotated[int, Field(ge=1)] | None = None
    """Optimiser steps, in place of the time budget."""
    patience: Annotated[int, Field(ge=1)] = 6
    """Evaluations without a better chrF before training stops early."""
    beams: Annotated[int, Field(ge=1, le=64)] = 5
    """Width of the beam the model is scored and saved with."""
    length_penalty: Annotated[float, Field(ge=0)] = 1.0
    """Log-probabilities are divided by length to this power; above 1 favours longer translations."""


class TranslationModel(TaskModel):
    """A translator of sentences.

    Args:
        translator: What translates.
    """

    def __init__(self, translator: Translator) -> None:
        self.translator = translator

    def save(self, directory: Path) -> None:
        """See `TaskModel.save`."""
        self.translator.save(directory)

    def predict(
        self,
        inputs: Sequence[Any],
        *,
        to: str | None = None,
        beams: int | None = None,
        length_penalty: float | None = None,
        alignment: bool = False,
        progress: bool = False,
        **options: Any,
    ) -> list[TranslationResult]:
        """Translates sentences.

        Args:
            inputs: Texts of one sentence each.
            to: Language to translate into; needed by a model of both directions (the first way when not given).
            beams: Width of the beam; as saved when not given.
            length_penalty: As saved when not given.
            alignment: Whether words are aligned.
            progress: Whether progress is shown.
            **options: None are known.

        Raises:
            OptionError: When the model does not translate into `to`, or an option is unknown.
        """
        from wenmo.seq2seq.results import translate_texts

        if options:
            raise OptionError(f"{next(iter(options))} is no option of translation")
        return translate_texts(
            self.translator,
            [str(text) for text in inputs],
            backward=self.translator.codec.backwards[0] if to is None else self.translator.backward(to),
            beams=beams,
            length_penalty=length_penalty,
            alignment=alignment,
            progress=progress,
        )


class Translation(Task):
    """The task."""

    name = "translation"
    summary = "Translate, with a model trained on your own sentence pairs."
    settings = TranslationSettings
    verbs: ClassVar[dict[str, str]] = {"translate": "Translate texts or whole documents."}

    def check(self, settings: TranslationSettings) -> None:
        """See `Task.check`."""
        fixed = {"--layers": settings.layers, "--width": settings.width, "--vocab-size": settings.vocab_size}
        given = next((name for name, value in fixed.items() if value is not None), None)
        if settings.from_model is not None and given is not None:
            raise OptionError(f"{given}: with --from it is that of the language model; leave one of them out")

    def train(self, paths: Sequence[str], settings: TranslationSettings, context: TaskContext) -> TaskOutcome:
        """See `Task.train`."""
        from wenmo.seq2seq.cleaning import read_clean_pairs
        from wenmo.seq2seq.fitting import fit_translator
        from wenmo.seq2seq.holding_out import hold_out
        from wenmo.seq2seq.judging import judge, merged, verdict

        names = {"encoding", "source_field", "target_field", "max_ratio", "script"}
        options = settings.model_dump(include=names)
        read = read_clean_pairs(paths, **options)
        for note in read.notes:
            context.say(note)
        held_out = (settings.valid, settings.test)
        given = [read_clean_pairs(files, **options).rows if files else [] for files in held_out]
        held = hold_out(
            read.rows,
            valid=given[0],
            test=given[1],
            valid_share=settings.valid_fraction,
            test_share=settings.test_fraction,
            seed=settings.seed,
        )
        if len(held.train) < FEWEST or not held.valid or not held.test:
            raise InputError(
                f"{paths[0]}: {len(held.train)} pairs to learn from, {len(held.valid)} to steer by and "
                f"{len(held.test)} for the score are too few; give more pairs, or files of their own with "
                "--valid and --test"
            )
        reserve = min(0.2 * context.budget, 2.0 + 0.04 * len(held.test))
        fitted = fit_translator(
            held.train,
            held.valid,
            read.languages,
            _fit_settings(settings),
            seconds=max(context.left - reserve, 1.0),
            directory=context.directory,
            resume=context.resume,
            progress=context.progress,
            say=context.say,
        )
        if fitted.outcome.stopped == "interrupted":
            raise KeyboardInterrupt
        if fitted.outcome.stopped == "early":
            context.say(f"training ended after {fitted.outcome.epochs:.1f} passes: chrF no longer rose")
        judged = judge(fitted.translator, held.train, held.test, context.progress)
        return TaskOutcome(
            model=TranslationModel(fitted.translator),
            metric="chrf",
            scores=merged(judged),
            baselines={"nearest training pair": merged(judged, baseline=True)},
            examples={"train": len(held.train), "valid": len(held.valid), "test": len(held.test)},
            dropped=dict(read.dropped + held.dropped),
            verdict=verdict(judged, len(held.train)),
            signatures={f"{n} {j.way}": text for j in judged for n, text in j.signatures.items()},
            sections=_sections(fitted, judged),
        )

    def load(self, directory: Path) -> TranslationModel:
        """See `Task.load`."""
        from wenmo.seq2seq.translator import Translator

        return TranslationModel(Translator.load(directory))


TASK = Translation()


def _fit_settings(settings: TranslationSettings) -> FitSettings:
    from wenmo.seq2seq.fitting import FitSettings
    from wenmo.seq2seq.recipe import shape_fields

    return FitSettings(
        architecture=settings.arch,
        direction=settings.direction,
        base=settings.from_model,
        fields=shape_fields(settings.arch, settings.layers, settings.width, settings.dropout),
        **settings.model_dump(
            include={
                *("vocab_size", "optimizer", "lr", "muon_lr", "batch_tokens", "label_smoothing", "rdrop"),
                *("steps", "patience", "beams", "length_penalty", "seed"),
            }
        ),
    )


def _sections(fitted: Fitted, judged: Sequence[Judged]) -> list[Section]:
    """Parts of the report: translations, the learning curve, and an alignment."""
    from wenmo.seq2seq.alignment import align, alignment_tables

    sections = []
    for one in judged:
        step = max(1, len(one.sources) // SHOWN)
        chosen = range(0, len(one.sources), step)[:SHOWN]
        rows = tuple((one.sources[i], one.references[i][0], one.outputs[i].text) for i in chosen)
        header = ("source", "right translation", "this model")
        sections.append(Section(f"Translations {one.way}", (), header, rows))
        pictures = [
            align(fitted.translator, one.sources[i], one.outputs[i].tokens, backward=one.backward)
            for i in chosen[:3]
        ]
        html = alignment_tables([picture for picture in pictures if picture is not None])
        if html:
            sections.append(
                Section(f"Alignment {one.way}", ("What was looked at for each word.",), html=html)
            )
    points = fitted.outcome.curve
    losses = [(round(p.train_loss, 3), round(p.valid_loss, 3), round(p.score, 2)) for p in points]
    times = [(p.step, round(p.seconds), round(p.epochs, 2)) for p in points]
    curve = tuple((*time, *loss) for time, loss in zip(times, losses, strict=True))
    columns = ("step", "seconds", "passes", "training loss", "held-out loss", "held-out chrF")
    return [*sections, Section("Learning curve", (), columns, curve)]


def translate(
    model: Path,
    texts: list[str] | None = None,
    /,
    *,
    file: list[Path] | None = None,
    output: Path | None = None,
    to: str | None = None,
    beams: Annotated[int, Field(ge=1, le=64)] | None = None,
    length_penalty: float | None = None,
    alignment: Path | None = None,
    text_field: str | None = None,
    encoding: str | None = None,
    terminal: Terminal,
) -> None:
    """Translate texts, documents (.txt, .md; layout is kept) or a column of a table.

    Args:
        model: Folder of the model.
        texts: Texts to translate; - reads standard input, one text a line.
        file: Text files, whose layout is kept, or tables, which get a column `translation`.
        output: File for the translation: of a document, or of the rows (.csv, .tsv, .jsonl, .parquet).
        to: Language to translate into, for a model of both directions; between Chinese and another language the script
            of the text tells.
        beams: Width of the beam search; as trained when not given.
        length_penalty: Above 1 favours longer translations.
        alignment: Page (.html) that shows which words became which.
        text_field: Column to translate in tables; guessed when not given.
        encoding: Encoding of the files; detected when not given.
        terminal: Where the result goes.
    """
    from wenmo.files import write_text
    from wenmo.seq2seq.alignment import pairs_page
    from wenmo.seq2seq.documents import read_document
    from wenmo.seq2seq.results import repetition
    from wenmo.tasking.batch import check_written, gather, write_rows
    from wenmo.tasking.running import load_task

    documents = [path for path in file or [] if path.name.lower().endswith(DOCUMENTS)]
    tables = [path for path in file or [] if path not in documents]
    if documents and (texts or tables):
        raise OptionError("--file: give documents, or texts and tables, but not both at once")
    if documents and output is not None and len(documents) > 1:
        raise OptionError("--output: give one document at a time with it")
    if documents and alignment is not None:
        raise OptionError("--alignment shows single texts; leave it out for documents")
    if output is not None and not documents:
        check_written(output)
    opened = load_task(TASK, model)
    assert isinstance(opened, TranslationModel)
    items = []
    if documents:
        seen = [read_document(path, encoding) for path in documents]
    else:
        items = gather(
            texts or [], tables, column=text_field, encoding=encoding, names=("source", "src", "原文")
        )
        seen = [item.text for item in items]
    backward = opened.translator.backward(to, seen)
    to = opened.translator.codec.languages[0 if backward else 1]
    options: dict[str, Any] = {"to": to, "beams": beams, "length_penalty": length_penalty}
    if documents:
        found = _documents(opened, documents, encoding, options, terminal)
        shown = "".join(one["translation"] for one in found).removesuffix("\n")
        if output is not None:
            write_text(output, found[0]["translation"])
            shown = f"translation in {output}"
        terminal.result({"translations": [], "documents": found}, shown)
        return
    results = opened.predict(
        [item.text for item in items], progress=terminal.progress, alignment=alignment is not None, **options
    )
    if warning := repetition(results):
        terminal.tell(warning)
    if alignment is not None:
        pairs = [(one.text, one.translation) for one in results]
        write_text(alignment, pairs_page(opened.translator, pairs, backward))
    rows = [
        (item.row or {"text": one.text}) | {"translation": one.translation}
        for item, one in zip(items, results, strict=True)
    ]
    shown = "\n".join(one.translation for one in results)
    if output is not None:
        write_rows(output, rows)
        shown = f"{len(rows):,} translations in {output}"
    found = [one.model_dump(mode="json") for one in results]
    terminal.result({"translations": found, "documents": []}, shown)


def _documents(
    opened: TranslationModel,
    paths: Sequence[Path],
    encoding: str | None,
    options: dict[str, Any],
    terminal: Terminal,
) -> list[dict[str, str]]:
    """Translates documents sentence by sentence."""
    from wenmo.seq2seq.documents import read_document, translate_document
    from wenmo.seq2seq.results import repetition

    def sentences(texts: Sequence[str]) -> list[str]:
        results = opened.predict(texts, progress=terminal.progress, **options)
        if warning := repetition(results):
            terminal.tell(warning)
        return [one.translation for one in results]

    size, longest = opened.translator.size, opened.translator.longest
    return [
        {
            "file": str(path),
            "translation": translate_document(
                read_document(path, encoding), sentences, size=size, longest=longest
            ),
        }
        for path in paths
    ]
