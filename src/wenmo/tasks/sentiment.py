"""Sentiment, topic, intent: texts to labels of any kind, learned from labelled examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from wenmo.errors import InputError, OptionError
from wenmo.tasking.contract import Section, Task, TaskContext, TaskModel, TaskOutcome, TaskSettings
from wenmo.tasking.terminal import Terminal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from wenmo.classification.building import Evidence
    from wenmo.classification.classifier import Classifier, Verdict
    from wenmo.classification.rows import Examples
    from wenmo.classification.scoring import Score

FEWEST = 8
"""Fewest labelled rows that anything can be learned from."""
TEST_FROM = 300
"""With fewer rows than this and no test file, the score is cross-validated and nothing is set apart."""
EXPLAINED = 12
"""Texts shown in the report with the words that decided."""


class SentimentSettings(TaskSettings):
    """Options of `wenmo train --task sentiment`."""

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
        if settings.words == 0 and settings.characters == 0:
            raise OptionError("--words 0 and --characters 0 leave nothing to count; set one of them")
        if settings.model == "linear" and settings.from_model is not None:
            raise OptionError("--from: --model linear has no use for a language model; leave one of them out")
        if settings.valid_fraction + settings.test_fraction >= 0.9:
            raise OptionError("--valid-fraction and --test-fraction leave too little to learn from")

    def train(self, paths: Sequence[str], settings: SentimentSettings, context: TaskContext) -> TaskOutcome:
        """See `Task.train`."""
        import numpy as np

        from wenmo.classification.building import Plan, build
        from wenmo.classification.folds import text_key
        from wenmo.classification.labels import label_names, similar_labels
        from wenmo.classification.rows import contradictions, read_examples

        def read(files: Sequence[str]) -> Examples:
            given = (settings.text_field, settings.label_field)
            found = read_examples(
                files, text_field=given[0], label_field=given[1], encoding=settings.encoding
            )
            for note in found.notes:
                context.say(note)
            return found

        examples = read(paths)
        dropped = examples.dropped
        _check_labels(paths, examples.labels)
        names = label_names(examples.labels)
        for sentence in similar_labels(examples.labels):
            context.say(sentence)
        context.say(_distribution(names, examples.labels))
        if count := contradictions(examples.texts, examples.labels):
            context.say(f"{count:,} different texts have more than one label; they are kept as they are")
        sides = _split(examples, settings, context)
        given = {}
        for side, files in (("valid", settings.valid), ("test", settings.test)):
            if files:
                given[side] = _known_labels(read(files), names, side, dropped, context)
        number = {name: k for k, name in enumerate(names)}
        parts: dict[str, tuple[list[str], npt.NDArray[np.int64]]] = {}
        for side in ("train", "valid", "test"):
            if side in given:
                texts, labels = given[side].texts, given[side].labels
            else:
                texts = [examples.texts[i] for i in sides[side]]
                labels = [examples.labels[i] for i in sides[side]]
            parts[side] = texts, np.array([number[label] for label in labels], np.int64)
        if "valid" in given:  # what steers must not have been learned from
            keys = {text_key(text) for text in parts["valid"][0]}
            kept = [i for i, text in enumerate(parts["train"][0]) if text_key(text) not in keys]
            if lost := len(parts["train"][0]) - len(kept):
                dropped["also among the validation examples"] += lost
                parts["train"] = [parts["train"][0][i] for i in kept], parts["train"][1][kept]
        train, valid, test = parts["train"], parts["valid"], parts["test"]
        plan = Plan(
            kind=settings.model,
            base=settings.from_model,
            ngrams=_ngrams(settings, train[0]),
            longest=settings.max_tokens,
            rare=settings.favour_rare,
            seed=settings.seed,
        )
        classifier, evidence = build(
            train[0],
            train[1],
            names,
            plan,
            held_texts=valid[0],
            held_labels=valid[1],
            seconds=context.left * 0.9,
            progress=context.progress,
            say=context.say,
        )
        return _outcome(classifier, evidence, names, train, valid, test, dropped, context, settings.seed)

    def load(self, directory: Path) -> SentimentModel:
        """See `Task.load`."""
        from wenmo.classification.classifier import Classifier

        return SentimentModel(Classifier.load(directory))


TASK = Sentiment()


def _check_labels(paths: Sequence[str], labels: Sequence[str]) -> None:
    source = ", ".join(paths)
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
    from collections import Counter

    counts = Counter(labels)
    ranked = sorted(names, key=lambda name: -counts[name])
    shown = ", ".join(f"{name} {counts[name]:,} ({counts[name] / len(labels):.0%})" for name in ranked[:8])
    more = f" and {len(ranked) - 8} more" if len(ranked) > 8 else ""
    rare = [name for name in names if counts[name] < 5]
    warning = f"; fewer than 5 rows: {', '.join(rare[:8])}" if rare else ""
    return f"{len(names)} labels: {shown}{more}{warning}"


def _split(examples: Examples, settings: SentimentSettings, context: TaskContext) -> dict[str, list[int]]:
    """Positions of the rows on each side; empty where a file is given, or where few rows are cross-validated."""
    from wenmo.classification.building import FOLDS_BELOW
    from wenmo.classification.folds import text_key
    from wenmo.examples import split_groups

    total = len(examples.texts)
    few = total < TEST_FROM
    test = 0.0 if settings.test or few else settings.test_fraction
    folds = not settings.valid and total * (1 - test) < FOLDS_BELOW
    valid = 0.0 if settings.valid or folds else settings.valid_fraction
    if few and not settings.test:
        context.say(f"{total} rows are few: the score is cross-validated, and all of them are learned from")
    keys = [text_key(text) for text in examples.texts]
    split = split_groups(keys, valid=valid, test=test, seed=settings.seed, strata=examples.labels)
    return {"train": split.train, "valid": split.valid, "test": split.test}


def _known_labels(
    found: Examples, names: Sequence[str], side: str, dropped: Any, context: TaskContext
) -> Examples:
    """Leaves out rows of a given file whose label was never seen in training."""
    for reason, count in found.dropped.items():
        dropped[f"{reason} ({side} file)"] += count
    known = [i for i, label in enumerate(found.labels) if label in set(names)]
    if lost := len(found.labels) - len(known):
        strange = next(label for label in found.labels if label not in set(names))
        dropped[f"label not among the training examples ({side} file)"] += lost
        context.say(
            f"{lost:,} rows of the {side} file have a label that no training example has, such as {strange!r}"
        )
    if not known:
        raise InputError(
            f"--{side}: no row has a label of the training examples ({', '.join(names[:5])}); check --label-field"
        )
    found.texts, found.labels = [found.texts[i] for i in known], [found.labels[i] for i in known]
    return found


def _ngrams(settings: SentimentSettings, texts: Sequence[str]) -> Any:
    from wenmo.classification.fitting import default_ngrams

    chosen = default_ngrams(texts)
    asked = {name: getattr(settings, name) for name in ("words", "characters")}
    return chosen.model_copy(update={name: value for name, value in asked.items() if value is not None})


def _outcome(
    classifier: Classifier,
    evidence: Evidence,
    names: list[str],
    train: tuple[list[str], Any],
    valid: tuple[list[str], Any],
    test: tuple[list[str], Any],
    dropped: Any,
    context: TaskContext,
    seed: int,
) -> TaskOutcome:
    import numpy as np

    from wenmo.classification import scoring
    from wenmo.classification.folds import fold_numbers, text_key

    texts, labels = [*train[0], *valid[0]], np.concatenate([train[1], valid[1]])
    classes = len(names)
    if len(test[0]):
        known = {text_key(text) for text in texts}
        seen = np.array([text_key(text) in known for text in test[0]])
        log_probs, truth, folds = classifier.log_probs(test[0]), test[1], 1
        plain = scoring.tfidf_baseline(texts, labels, test[0], classes)
    else:
        folds = max(evidence.folds, 2) if evidence.folds > 1 else 1
        log_probs, truth = evidence.log_probs, evidence.labels
        seen = np.zeros(len(truth), bool)
        if evidence.folds > 1:
            numbers = fold_numbers(texts, labels, evidence.folds, seed)
            plain = scoring.tfidf_baseline(texts, labels, (), classes, numbers)
        else:
            plain = scoring.tfidf_baseline(train[0], train[1], valid[0], classes)
    found = scoring.score(log_probs, truth, classifier.favour, seen)
    nothing = np.zeros(classes)
    baselines = {
        scoring.TFIDF: scoring.score(plain, truth, nothing, seen).scores(),
        scoring.FREQUENT: scoring.score(
            scoring.frequent_label(labels, len(truth), classes), truth, nothing, seen
        ).scores(),
    }
    counts = {"train": len(train[0]), "valid": len(valid[0]), "test": len(test[0])}
    return TaskOutcome(
        model=SentimentModel(classifier),
        metric="accuracy",
        scores=found.scores(),
        baselines=baselines,
        examples={side: count for side, count in counts.items() if count},
        dropped=dict(dropped),
        verdict=scoring.verdict_sentence(found, names, baselines, folds, len(texts)),
        signatures={"intervals": _intervals(found)},
        sections=_sections(classifier, evidence, names, found, test if len(test[0]) else (texts, labels)),
    )


def _intervals(found: Score) -> str:
    low, high = found.interval()
    macro_low, macro_high = found.macro_interval()
    return (
        f"95 %: accuracy {low:.4f} to {high:.4f} (Wilson), macro-F1 {macro_low:.4f} to {macro_high:.4f} (bootstrap); "
        "calibration error over 15 bins"
    )


def _sections(
    classifier: Classifier, evidence: Evidence, names: list[str], found: Score, shown: tuple[list[str], Any]
) -> list[Section]:
    from wenmo.classification.attribution import explain
    from wenmo.classification.metrics import as_rows
    from wenmo.classification.page import article

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
    pieces = []
    for place in range(0, len(shown[0]), max(len(shown[0]) // EXPLAINED, 1)):
        text = shown[0][place][:2_000]
        verdict = classifier.verdicts([text])[0]
        pieces.append(
            article(text, verdict, explain(classifier, text, verdict.label), names[int(shown[1][place])])
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
    output: Path | None = None,
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
        _write_page(page, opened.classifier, inputs, verdicts)
        terminal.tell(f"wrote {page}")
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
