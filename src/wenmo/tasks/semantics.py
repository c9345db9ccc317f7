"""Semantic analysis: keywords of documents, topics of a corpus, and documents of like meaning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from cyclopts import Parameter
from pydantic import Field

from wenmo.errors import InputError, ModelError, OptionError
from wenmo.tasking.contract import Section, Share, Task, TaskContext, TaskModel, TaskOutcome, TaskSettings
from wenmo.tasking.terminal import Terminal

if TYPE_CHECKING:
    from wenmo.semantics.analysis import TextMeaning
    from wenmo.semantics.documents import Documents
    from wenmo.semantics.keywords import Keyword
    from wenmo.semantics.model import SemanticModel
    from wenmo.semantics.similar import Embed

LANGUAGE_MODEL = "language_model"
MAP = "map.html"
ENOUGH = 20
"""Fewest documents that are worth holding out."""
LEAST_SHARE = 0.6
"""Share of the budget after which no further number of topics is tried."""

Output = Annotated[Path | None, Parameter(name=("--output", "-o"))]
Unit = Literal["auto", "file", "line"]


class SemanticsSettings(TaskSettings):
    """Options of semantic analysis."""

    text_field: str | None = None
    """Column that holds the text in tables; guessed and reported when not given."""
    unit: Unit = "auto"
    """What of a text file is a document: `file`, `line`, or `auto`: lines of a single file, else whole files."""
    topics: Annotated[int, Field(ge=1)] | None = None
    """Number of topics; chosen by coherence, stability and coverage when not given."""
    method: Literal["nmf", "lda"] = "nmf"
    """How topics are found: factors of TF-IDF (nmf), or latent Dirichlet allocation (lda)."""
    valid_fraction: Share = 0.0
    """Not used: the number of topics is chosen on the documents themselves."""


class Semantics(TaskModel):
    """A corpus that texts are compared with.

    Attributes:
        model: Background, topics and documents.
        page: The map as HTML.
        base: Folder of the language model whose embeddings are used, or None.
    """

    def __init__(self, model: SemanticModel, page: str, base: Path | None) -> None:
        self.model = model
        self.page = page
        self.base = base

    def save(self, directory: Path) -> None:
        """See `TaskModel.save`; a language model that is used is copied, so that the folder is whole."""
        import shutil

        self.model.save(directory)
        (directory / MAP).write_text(self.page, encoding="utf-8")
        if self.base is not None:
            shutil.copytree(self.base, directory / LANGUAGE_MODEL, ignore=shutil.ignore_patterns("training"))

    def predict(
        self, inputs: Sequence[str], *, top: int = 10, near: int = 3, **options: Any
    ) -> list[TextMeaning]:
        """Analyses texts.

        Args:
            inputs: The texts.
            top: Most keywords of each.
            near: Most similar documents of each.
            **options: There are no others.

        Raises:
            OptionError: For another option.
        """
        from wenmo.semantics.analysis import analyse

        if options:
            raise OptionError(f"{', '.join(options)}: predict of semantics takes top and near")
        return analyse(self.model, inputs, top, near)


class SemanticsTask(Task):
    """The task."""

    name = "semantics"
    summary = "Find the topics of documents, what their words usually are, and which are alike."
    settings = SemanticsSettings
    verbs: ClassVar[dict[str, str]] = {
        "topics": "Show the topics of a corpus, or say which texts are about which.",
        "keywords": "Find the key phrases of texts.",
        "similar": "Find the documents of a corpus that are nearest to a text.",
    }

    def check(self, settings: SemanticsSettings) -> None:
        """See `Task.check`."""
        if settings.valid or settings.valid_fraction:
            raise OptionError(
                "--valid, --valid-fraction: semantics steers by the documents themselves; leave it out"
            )

    def train(self, paths: Sequence[str], settings: SemanticsSettings, context: TaskContext) -> TaskOutcome:
        """See `Task.train`: topics on the training documents, scores on those held out, vectors of all."""
        from wenmo.progress import track
        from wenmo.semantics import fitting, scoring
        from wenmo.semantics.choosing import numbers_to_try
        from wenmo.semantics.page import render_map
        from wenmo.semantics.similar import read_all
        from wenmo.semantics.tokens import content_words

        embed = None
        if settings.from_model is not None:
            embed = _embedder(settings.from_model)
            embed(["."])  # a model that cannot be used is refused before the work
        documents, held_out = _documents(paths, settings, context)
        train = [i for i in range(len(documents.texts)) if i not in held_out]
        words = [content_words(text) for text in documents.texts]
        limit = context.budget * LEAST_SHARE
        tried = len(numbers_to_try(len(train), 10**6)) if settings.topics is None else 1
        with track("topics", tried, "", context.progress) as progress:
            topics, trials, why = fitting.find_topics(
                [words[i] for i in train],
                settings.topics,
                method=settings.method,
                seed=settings.seed,
                step=lambda number: progress.advance(),
                stop=lambda: context.elapsed > limit,
            )
        if settings.topics is None and 1 < len(trials) < tried:
            why += f" The budget ended the search before {tried - len(trials)} larger numbers."
        context.say(why)
        vectors = None
        if embed is not None:
            vectors = read_all(
                embed, documents.texts, seconds=context.left, say=context.say, progress=context.progress
            )
        model = fitting.assemble(documents.texts, documents.sources, topics, embed=embed, vectors=vectors)
        model.facts = {"why": why}
        if len(trials) > 1:
            model.facts["trials"] = [[t.number, t.coherence, t.stability, t.coverage] for t in trials]
        assigned = model.assign(documents.texts)
        page, svg = render_map(model, assigned, ", ".join(Path(path).name for path in paths), settings.seed)
        if not held_out:
            context.say(f"fewer than {ENOUGH} documents could be held out, so all were learned from")
        held = [words[i] for i in sorted(held_out)] or words
        scores = scoring.score(model.topics, words, held)
        baselines: dict[str, dict[str, float]] = {}
        if context.left > context.budget * (1 - LEAST_SHARE) / 2:
            learned = [words[i] for i in train]
            name, values = scoring.score_other_method(model.topics, learned, words, held, settings.seed)
            baselines[name] = values
        baselines[scoring.CHANCE] = scoring.score_chance(model.topics, words, settings.seed)
        return TaskOutcome(
            model=Semantics(model, page, settings.from_model),
            metric="coherence",
            scores=scores,
            baselines=baselines,
            examples={"train": len(train), "test": len(held_out)},
            dropped=dict(documents.dropped),
            verdict=scoring.verdict(model.topics, scores, baselines[scoring.CHANCE], len(train)),
            signatures={
                "coherence": "mean NPMI of the ten heaviest words of each topic, over all documents, from -1 to 1",
                "assigned": "share of the documents held out that belong to one of the topics",
            },
            sections=_sections(model, assigned, svg, why),
        )

    def load(self, directory: Path) -> Semantics:
        """See `Task.load`."""
        from wenmo.semantics.model import SemanticModel

        base = directory / LANGUAGE_MODEL
        embed = _embedder(base) if base.is_dir() else None
        page = directory / MAP
        try:
            text = page.read_text(encoding="utf-8")
        except OSError as error:
            raise ModelError(f"{page} is missing; copy the model again") from error
        return Semantics(SemanticModel.load(directory, embed), text, base if embed else None)


TASK = SemanticsTask()


def _documents(
    paths: Sequence[str], settings: SemanticsSettings, context: TaskContext
) -> tuple[Documents, set[int]]:
    """All documents, and which of them are held out for the scores."""
    from wenmo.examples import split_groups
    from wenmo.semantics.documents import read_documents, without_repeats

    options: dict[str, Any] = {
        "text_field": settings.text_field,
        "encoding": settings.encoding,
        "unit": settings.unit,
    }
    documents = without_repeats(read_documents(paths, **options))
    for note in documents.notes:
        context.say(note)
    for reason, count in documents.dropped.items():
        context.say(f"left out: {count:,} {reason}")
    if settings.test:
        extra = read_documents(settings.test, **options)
        known = set(documents.texts)
        fresh = [(t, s) for t, s in zip(extra.texts, extra.sources, strict=True) if t not in known]
        if not fresh:
            raise InputError("--test: every document of it is also among those to learn from; give others")
        first = len(documents.texts)
        documents.texts += [text for text, _ in fresh]
        documents.sources += [source for _, source in fresh]
        return documents, set(range(first, len(documents.texts)))
    share = settings.test_fraction
    split = split_groups(documents.texts, valid=0.0, test=share, seed=settings.seed)
    return documents, set(split.test) if len(split.test) >= ENOUGH else set()


def _embedder(folder: Path) -> Embed:
    """Embeddings of a language model that is opened when they are first needed."""
    opened: list[Any] = []

    def embed(texts: Sequence[str]) -> Any:
        from wenmo import api

        if not opened:
            opened.append(api.load(folder))
        return opened[0].embed(list(texts))

    return embed


def _sections(model: SemanticModel, assigned: Any, svg: str, why: str) -> list[Section]:
    from wenmo.semantics.page import shown_topics

    shown = sorted(shown_topics(model, assigned), key=lambda topic: -topic.count)
    rows = tuple(
        (f"{t.label}: {', '.join(t.words)}", t.count, t.examples[0][0] if t.examples else "") for t in shown
    )
    style = (
        "<style>.map .dot{fill:hsl(var(--h) 52% 48%);fill-opacity:.8}.map .none{fill:none;stroke:var(--soft)}"
        ".map .name{font-size:15px;font-weight:650;fill:var(--ink);paint-order:stroke;stroke:var(--card);"
        "stroke-width:4.5px}</style>"
    )
    sections = [
        Section("Topics", (why,), ("topic and its words", "documents", "the most typical document"), rows),
        Section(
            "Map",
            ("Each dot is a document; map.html beside this page has it with all topics.",),
            html=style + svg,
        ),
    ]
    if model.facts.get("trials"):
        tried = tuple((n, *(round(value, 3) for value in rest)) for n, *rest in model.facts["trials"])
        sections.append(
            Section("Numbers of topics tried", (), ("topics", "coherence", "stability", "coverage"), tried)
        )
    return sections


# -- verbs ---------------------------------------------------------------------------------------------------------


def topics(
    model: Path,
    texts: list[str] | None = None,
    /,
    *,
    file: list[Path] | None = None,
    text_field: str | None = None,
    encoding: str | None = None,
    output: Output = None,
    terminal: Terminal,
) -> None:
    """Show the topics of a corpus, or say which texts are about which.

    Args:
        model: Folder that wenmo train --task semantics wrote.
        texts: Texts to assign; - reads standard input, one a line. Without any the topics are shown.
        file: File of texts to assign: csv, tsv, jsonl, parquet, or plain text with one a line.
        text_field: Column with the text; guessed when not given.
        encoding: Encoding of the files; detected when not given.
        output: File for the results: csv, tsv, jsonl or parquet.
        terminal: Where the result goes.
    """
    from wenmo.semantics import listing
    from wenmo.tasking.batch import check_written, gather, write_rows

    if output is not None:
        check_written(output)
    opened = _opened(model)
    if not texts and not file:
        rows = listing.topic_rows(opened.model)
        if output is not None:
            write_rows(output, rows)
        none = round(
            sum(d.topic < 0 for d in opened.model.documents) / max(len(opened.model.documents), 1), 4
        )
        terminal.result(
            _topics_content(opened.model, [], none),
            "\n".join([*listing.topic_lines(rows), "", f"Map  {model / MAP}"]),
        )
        return
    items = gather(texts or [], file or [], column=text_field, encoding=encoding)
    given = [item.text for item in items]
    assigned = opened.model.assign(given)
    rows = listing.assigned_rows(opened.model, given, assigned)
    if output is not None:
        write_rows(output, [item.row | row for item, row in zip(items, rows, strict=True)])
        terminal.tell(f"{len(rows):,} texts, {assigned.unassigned:.0%} about none of the topics: {output}")
    content = _topics_content(opened.model, rows, round(assigned.unassigned, 4))
    terminal.result(content, "\n".join(listing.assigned_lines(rows)))


def _topics_content(
    model: SemanticModel, documents: list[dict[str, Any]], unassigned: float
) -> dict[str, Any]:
    from wenmo.semantics.listing import topic_rows

    why = str(model.facts.get("why", ""))
    return {"topics": topic_rows(model), "why": why, "documents": documents, "unassigned": unassigned}


def _check(top: int, output: Path | None) -> None:
    """Refuses options before the work."""
    from wenmo.tasking.batch import check_written

    if top < 1:
        raise OptionError(f"--top: {top} is not at least 1")
    if output is not None:
        check_written(output)


def _opened(model: Path) -> Semantics:
    from wenmo.tasking.running import load_task

    opened = load_task(TASK, model)
    assert isinstance(opened, Semantics)
    return opened


def keywords(
    texts: list[str] | None = None,
    /,
    *,
    file: list[Path] | None = None,
    model: Path | None = None,
    top: int = 10,
    overall: bool = False,
    unit: Unit = "file",
    text_field: str | None = None,
    encoding: str | None = None,
    output: Output = None,
    terminal: Terminal,
) -> None:
    """Find the key phrases of texts.

    Args:
        texts: Texts, files or folders; - reads standard input.
        file: File or folder of documents: a text file is one, and so is each row of csv, tsv, jsonl or parquet.
        model: Folder that wenmo train --task semantics wrote; its corpus is what is usual. Without it
            that is text at large and the other documents given.
        top: Most phrases of a document.
        overall: Find the phrases of all documents together.
        unit: What of a text file is a document: file, line, or auto (lines of a single file, else whole files).
        text_field: Column with the text; guessed when not given.
        encoding: Encoding of the files; detected when not given.
        output: File for the results: csv, tsv, jsonl or parquet.
        terminal: Where the result goes.
    """
    from wenmo.progress import track
    from wenmo.semantics import listing
    from wenmo.semantics.background import Background
    from wenmo.semantics.documents import given_documents
    from wenmo.semantics.keywords import extract, extract_overall
    from wenmo.semantics.tokens import tokens
    from wenmo.tasking.batch import write_rows

    _check(top, output)
    read = given_documents(texts or [], file or [], text_field=text_field, encoding=encoding, unit=unit)
    for note in [*read.notes, *(f"left out: {count:,} {reason}" for reason, count in read.dropped.items())]:
        terminal.tell(note)
    background = Background()
    if model is not None:
        background = _opened(model).model.background
    elif len(read.texts) > 1 and not overall:
        background = Background.of(map(tokens, read.texts))
    results: list[tuple[str, list[Keyword]]] = []
    with track("keywords", len(read.texts), "documents", terminal.progress) as progress:
        if overall:
            step = progress.advance
            results = [("", extract_overall(read.texts, background, top=top, step=step))]
        else:
            for source, text in zip(read.sources, read.texts, strict=True):
                results.append((source, extract(text, background, top=top)))
                progress.advance()
    listed = [{"source": source, "keywords": [k.model_dump() for k in found]} for source, found in results]
    if output is not None:
        nested = output.suffix.lower() in (".jsonl", ".parquet")
        write_rows(output, listed if nested else listing.keyword_rows(results))
    lines = "\n".join(listing.keyword_lines(results))
    content = {
        "count": len(read.texts),
        "documents": [] if overall else listed,
        "overall": listed[0]["keywords"] if overall else [],
        "dropped": dict(read.dropped),
    }
    terminal.result(content, lines)


def similar(
    model: Path,
    texts: list[str] | None = None,
    /,
    *,
    file: list[Path] | None = None,
    top: int = 5,
    text_field: str | None = None,
    encoding: str | None = None,
    output: Output = None,
    terminal: Terminal,
) -> None:
    """Find the documents of a corpus that are nearest to a text.

    Args:
        model: Folder that wenmo train --task semantics wrote.
        texts: Texts to compare; - reads standard input, one a line.
        file: File of texts: csv, tsv, jsonl, parquet, or plain text with one a line.
        top: Most documents shown for each text.
        text_field: Column with the text; guessed when not given.
        encoding: Encoding of the files; detected when not given.
        output: File for the results: csv, tsv, jsonl or parquet.
        terminal: Where the result goes.
    """
    from wenmo.semantics.analysis import similar_documents
    from wenmo.semantics.fitting import excerpt
    from wenmo.tasking.batch import gather, write_rows

    _check(top, output)
    opened = _opened(model)
    items = gather(texts or [], file or [], column=text_field, encoding=encoding)
    found = similar_documents(opened.model, [item.text for item in items], top)
    rows = [
        {"text": item.text, "rank": rank, **near.model_dump()}
        for item, row in zip(items, found, strict=True)
        for rank, near in enumerate(row, 1)
    ]
    if output is not None:
        write_rows(output, rows)
    lines: list[str] = []
    for item, row in zip(items, found, strict=True):
        if len(items) > 1:
            lines += ([""] if lines else []) + [excerpt(item.text, 60)]
        lines += [f"{near.similarity:6.3f}  {near.source}  {excerpt(near.excerpt, 80)}" for near in row]
        if not row:
            lines.append("        no word of it stands in the corpus")
    content = {
        "texts": [
            {"text": item.text, "similar": [near.model_dump() for near in row]}
            for item, row in zip(items, found, strict=True)
        ]
    }
    terminal.result(content, "\n".join(lines))
