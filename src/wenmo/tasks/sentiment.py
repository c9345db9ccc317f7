"""Sentiment, topic, intent: texts to labels of any kind, learned from labelled examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from cyclopts import Parameter
from pydantic import Field

from wenmo.errors import OptionError, ResourceError
from wenmo.tasking.contract import Section, Share, Task, TaskContext, TaskModel, TaskOutcome, TaskSettings
from wenmo.tasking.terminal import Terminal

if TYPE_CHECKING:
    from wenmo.classification.building import Evidence
    from wenmo.classification.classifier import Classifier, Verdict
    from wenmo.classification.preparing import Sides
    from wenmo.classification.rows import Examples
    from wenmo.classification.scoring import Score

MOST_ON_PAGE = 500
"""Texts on a page with the words that decided."""
TELLING = 100
"""Training texts from which the words that speak for each label are read."""
MOST_TOLD = 8
"""Most labels whose words are shown."""
EXPLAINED = 12
"""Texts shown in the report with the words that decided."""


class SentimentSettings(TaskSettings):
    """Options of `wenmo train --task sentiment`."""

    valid_fraction: Share | None = None  # type: ignore[assignment]
    """Share of the examples held out to steer by; a tenth, or none of fewer than 2,000 rows: those are held out in
    folds, each once."""
    test_fraction: Share | None = None  # type: ignore[assignment]
    """Share of the examples held out for the final score; a tenth, or none of fewer than 2,000 rows, whose score is
    cross-validated."""
    text_field: str | None = None
    """Column with the text; guessed and shown when not given."""
    label_field: str | None = None
    """Column with the label; guessed and shown when not given."""
    model: Literal["auto", "linear", "network"] = "auto"
    """`linear` counts n-grams and takes seconds; `network` reads tokens; `auto` takes what does best on held-out rows,
    or both averaged."""
    words: Annotated[int, Field(ge=0, le=5)] | None = None
    """Longest sequence of words that the linear model counts; chosen from the texts when not given."""
    characters: Annotated[int, Field(ge=0, le=8)] | None = None
    """Longest sequence of characters that the linear model counts; chosen from the texts when not given."""
    max_tokens: Annotated[int, Field(ge=16)] = 400
    """Most tokens of a text that the network reads (of a longer one, its beginning and its end)."""
    favour_rare: bool = True
    """Let verdicts favour rare labels where that raises the macro-F1 on held-out rows; probabilities stay."""


class SentimentModel(TaskModel):
    """A trained classifier."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    def save(self, directory: Path) -> None:
        """See `TaskModel.save`."""
        self.classifier.save(directory)

    def predict(self, inputs: Sequence[Any], **options: Any) -> list[Verdict]:
        """Labels texts.

        Args:
            inputs: Texts.
            **options: `explain=True` adds the words that decided.
        """
        verdicts = self.classifier.verdicts([str(text) for text in inputs])
        if not options.get("explain"):
            return verdicts
        from wenmo.classification.attribution import explain

        return [
            verdict.model_copy(
                update={"words": explain(self.classifier, str(text), verdict.label).strongest()}
            )
            for text, verdict in zip(inputs, verdicts, strict=True)
        ]


class Sentiment(Task):
    """Texts to labels."""

    name = "sentiment"
    summary = "Learn to label texts (sentiment, topic, intent) from labelled examples."
    settings = SentimentSettings
    verbs: ClassVar[dict[str, str]] = {
        "sentiment": "Label texts with a trained classifier, and show the words that decided."
    }

    def check(self, settings: SentimentSettings) -> None:
        """See `Task.check`."""
        _check_libraries()
        if settings.from_model is not None and not settings.from_model.is_dir():
            raise OptionError(
                f"--from: there is no folder {settings.from_model}; give that of a language model"
            )
        if settings.words == 0 and settings.characters == 0:
            raise OptionError("--words 0 and --characters 0 leave nothing to count; set one of them")
        if settings.model == "linear" and settings.from_model is not None:
            raise OptionError("--from: --model linear has no use for a language model; leave one of them out")
        if (settings.valid_fraction or 0.0) + (settings.test_fraction or 0.0) >= 0.9:
            raise OptionError("--valid-fraction and --test-fraction leave too little to learn from")

    def train(self, paths: Sequence[str], settings: SentimentSettings, context: TaskContext) -> TaskOutcome:
        """See `Task.train`."""
        from wenmo.classification.building import Plan, build
        from wenmo.classification.preparing import prepare
        from wenmo.classification.rows import read_examples

        def read(files: Sequence[str]) -> Examples:
            found = read_examples(
                files,
                text_field=settings.text_field,
                label_field=settings.label_field,
                encoding=settings.encoding,
            )
            for note in found.notes:
                context.say(note)
            return found

        sides = prepare(
            read(paths),
            source=", ".join(paths),
            valid=read(settings.valid) if settings.valid else None,
            test=read(settings.test) if settings.test else None,
            valid_fraction=settings.valid_fraction,
            test_fraction=settings.test_fraction,
            seed=settings.seed,
            say=context.say,
        )
        plan = Plan(
            kind=settings.model,
            base=settings.from_model,
            ngrams=_ngrams(settings, sides.train.texts),
            longest=settings.max_tokens,
            rare=settings.favour_rare,
            seed=settings.seed,
            later=len(sides.test.texts),
        )
        classifier, evidence = build(
            sides.train.texts,
            sides.train.labels,
            sides.names,
            plan,
            held_texts=sides.valid.texts,
            held_labels=sides.valid.labels,
            seconds=context.left * 0.9,
            progress=context.progress,
            say=context.say,
        )
        return _outcome(classifier, evidence, sides, settings.seed)

    def load(self, directory: Path) -> SentimentModel:
        """See `Task.load`."""
        _check_libraries()
        from wenmo.classification.classifier import Classifier

        return SentimentModel(Classifier.load(directory))


TASK = Sentiment()


def _check_libraries() -> None:
    from importlib.util import find_spec

    missing = [
        name for name, module in (("scikit-learn", "sklearn"), ("scipy", "scipy")) if not find_spec(module)
    ]
    if missing:
        raise ResourceError(
            f"sentiment needs {' and '.join(missing)}; install with: pip install 'wenmo[tasks]'"
        )


def _ngrams(settings: SentimentSettings, texts: Sequence[str]) -> Any:
    from wenmo.classification.fitting import default_ngrams

    chosen = default_ngrams(texts)
    asked = {name: getattr(settings, name) for name in ("words", "characters")}
    return chosen.model_copy(update={name: value for name, value in asked.items() if value is not None})


def _outcome(classifier: Classifier, evidence: Evidence, sides: Sides, seed: int) -> TaskOutcome:
    from wenmo.classification import scoring

    truth, log_probs, plain, folds = scoring.answers(classifier, evidence, sides, seed)
    found = scoring.score(log_probs, truth, classifier.favour, sides.seen)
    learned = len(sides.train.texts) + len(sides.valid.texts)
    baselines = scoring.baseline_scores(plain, sides, truth)
    counts = {"train": len(sides.train.texts), "valid": len(sides.valid.texts), "test": len(sides.test.texts)}
    return TaskOutcome(
        model=SentimentModel(classifier),
        metric="accuracy",
        scores=found.scores(),
        baselines=baselines,
        examples={side: count for side, count in counts.items() if count},
        dropped=dict(sides.dropped),
        verdict=scoring.verdict_sentence(found, sides.names, baselines, folds, learned),
        signatures={"intervals": _intervals(found)},
        sections=_sections(classifier, evidence, found, sides),
    )


def _intervals(found: Score) -> str:
    low, high = found.interval()
    macro_low, macro_high = found.macro_interval()
    return (
        f"95 %: accuracy {low:.4f} to {high:.4f} (Wilson), macro-F1 {macro_low:.4f} to {macro_high:.4f} (bootstrap); "
        "calibration error over 15 bins"
    )


def _sections(classifier: Classifier, evidence: Evidence, found: Score, sides: Sides) -> list[Section]:
    from wenmo.classification.attribution import explain, telling_words
    from wenmo.classification.metrics import as_rows
    from wenmo.classification.page import article

    names = sides.names
    header = ("true label", *(f"said {name}" for name in names), "precision", "recall", "F1")
    sections = []
    if len(names) <= 30:
        sections.append(
            Section("Which labels are taken for which", (), header, as_rows(found.confusion(), names))
        )
    losses = tuple((name, round(loss, 4)) for name, loss in evidence.losses.items())
    sections.append(
        Section(
            "The members on held-out examples",
            ("Log-loss after calibration; lower is better.",),
            ("", "log-loss"),
            losses,
        )
    )
    if len(names) <= MOST_TOLD:
        step = max(len(sides.train.texts) // TELLING, 1)
        told = telling_words(classifier, [text[:1_000] for text in sides.train.texts[::step][:TELLING]])
        rows = tuple((name, ", ".join(word for word, _ in words)) for name, words in told.items())
        title = "The words that speak for each label"
        sections.append(Section(title, ("In some of the training texts.",), ("label", "words"), rows))
    shown, pieces = (sides.test if sides.test.texts else sides.train), []
    for place in range(0, len(shown.texts), max(len(shown.texts) // EXPLAINED, 1)):
        text = shown.texts[place][:2_000]
        verdict = classifier.verdicts([text])[0]
        pieces.append(
            article(text, verdict, explain(classifier, text, verdict.label), names[int(shown.labels[place])])
        )
    sections.append(
        Section(
            "The words that decided",
            ("Green speaks for the label that was given, red against it; point at a word for its share.",),
            html="\n".join(pieces[:EXPLAINED]),
        )
    )
    return sections


def sentiment(
    model: Path,
    texts: list[str] | None = None,
    /,
    *,
    file: list[Path] | None = None,
    text_field: str | None = None,
    encoding: str | None = None,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    explain: bool = False,
    page: Path | None = None,
    terminal: Terminal,
) -> None:
    """Label texts with a trained classifier, and show the words that decided.

    Args:
        model: Folder of the classifier.
        texts: Texts to label; - reads standard input, one text a line.
        file: Files of texts: csv, tsv, jsonl, parquet, or plain text with one a line.
        text_field: Column with the text; guessed when not given.
        encoding: Encoding of the files; detected when not given.
        output: Write the rows with their labels to this csv, tsv, jsonl or parquet file.
        explain: Show the words that decided (always shown for texts given on the command line).
        page: Write a page with the words that decided marked in the texts.
        terminal: Where the result goes.
    """
    from wenmo.classification.rows import TEXT_NAMES
    from wenmo.tasking.batch import check_written, gather, write_rows
    from wenmo.tasking.running import load_task

    if output is not None:
        check_written(output)
    items = gather(texts or [], file or [], column=text_field, encoding=encoding, names=TEXT_NAMES)
    opened = load_task(TASK, model)
    assert isinstance(opened, SentimentModel)
    wanted = explain or not file
    inputs = [item.text for item in items]
    verdicts = opened.predict(inputs, explain=wanted)
    if page is not None:
        _write_page(page, opened.classifier, inputs[:MOST_ON_PAGE], verdicts[:MOST_ON_PAGE])
        rest = f", the first {MOST_ON_PAGE:,} of {len(inputs):,} texts" if len(inputs) > MOST_ON_PAGE else ""
        terminal.tell(f"wrote {page}{rest}")
    if output is not None:
        rows = [
            {**(item.row or {"text": item.text}), **_new_columns(item.row, verdict, wanted)}
            for item, verdict in zip(items, verdicts, strict=True)
        ]
        write_rows(output, rows)
        terminal.tell(f"wrote {len(rows):,} rows to {output}")
    empty = sum(verdict.empty for verdict in verdicts)
    if empty:
        terminal.tell(f"{empty:,} texts are empty; their label says only what is most frequent")
    content = {"results": [verdict.model_dump(mode="json") for verdict in verdicts]}
    if output is not None:
        from collections import Counter

        counts = Counter(verdict.label for verdict in verdicts)
        terminal.result(content, "  ".join(f"{label} {count:,}" for label, count in counts.most_common()))
        return
    lines = []
    for text, verdict in zip(inputs, verdicts, strict=True):
        lines.append(f"{verdict.label}  {verdict.probability:.1%}  {text[:100]}")
        if verdict.words:
            lines.append("    " + ", ".join(f"{word} {value:+.2f}" for word, value in verdict.words))
    terminal.result(content, "\n".join(lines))


def _new_columns(row: dict[str, Any], verdict: Verdict, explained: bool) -> dict[str, Any]:
    """Label and probability under names that the row does not have yet."""

    def free(name: str) -> str:
        while name in row:
            name = f"predicted_{name}"
        return name

    found: dict[str, Any] = {free("label"): verdict.label, free("probability"): round(verdict.probability, 4)}
    if explained:
        found[free("words")] = [[word, round(value, 3)] for word, value in verdict.words]
    return found


def _write_page(path: Path, classifier: Classifier, texts: list[str], verdicts: list[Verdict]) -> None:
    from wenmo.classification.attribution import explain
    from wenmo.classification.page import article, page
    from wenmo.classification.scoring import language_of
    from wenmo.files import write_text

    pieces = [
        article(text, verdict, explain(classifier, text, verdict.label))
        for text, verdict in zip(texts, verdicts, strict=True)
    ]
    write_text(path, page(pieces, "The words that decided", language_of(texts)))
