"""Semantic analysis: keywords of documents, topics of a corpus, and documents of like meaning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from cyclopts import Parameter
from pydantic import BaseModel, ConfigDict, Field

from wenmo.errors import InputError, ModelError, OptionError, ResourceError
from wenmo.tasking.contract import Section, Share, Task, TaskContext, TaskModel, TaskOutcome, TaskSettings
from wenmo.tasking.terminal import Terminal

if TYPE_CHECKING:
    from wenmo.semantics.documents import Documents
    from wenmo.semantics.keywords import Keyword
    from wenmo.semantics.model import SemanticModel
    from wenmo.semantics.similar import Embed
    from wenmo.semantics.topics import Topics

LANGUAGE_MODEL = "language_model"
MAP = "map.html"
ENOUGH = 20
"""Documents held out below which scores are those of all documents."""
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


class Similar(BaseModel):
    """A document of the corpus that is near a text."""

    model_config = ConfigDict(frozen=True)

    source: str
    """File and line of the document."""
    excerpt: str
    """Its beginning."""
    similarity: float
    """Cosine, at most 1."""


class TextMeaning(BaseModel):
    """What a model of a corpus says about a text."""

    model_config = ConfigDict(frozen=True)

    topic: int | None
    """Number of its topic, from 1; null when it belongs to none."""
    label: str
    """Phrases of that topic; empty when it belongs to none."""
    share: float
    """Share of the text that is of its likeliest topic."""
    fit: float
    """Cosine between the text and what the topics make of it."""
    keywords: list[str]
    """Its key phrases, the best first."""
    similar: list[Similar]
    """The nearest documents of the corpus."""


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
        from wenmo.semantics.keywords import extract

        if options:
            raise OptionError(f"{', '.join(options)}: predict of semantics takes top and near")
        if not inputs:
            return []
        assigned = self.model.assign(inputs)
        nearest = self.model.similar(inputs, near) if near else [[] for _ in inputs]
        results = []
        for i, text in enumerate(inputs):
            topic = int(assigned.topic[i])
            found = [keyword.text for keyword in extract(text, self.model.background, top=top)]
            results.append(
                TextMeaning(
                    topic=topic + 1 if topic >= 0 else None,
                    label=self.model.topics.labels[topic] if topic >= 0 else "",
                    share=round(float(assigned.shares[i].max()), 4),
                    fit=round(float(assigned.fit[i]), 4),
                    keywords=found,
                    similar=_similar(nearest[i]),
                )
            )
        return results


def _similar(nearest: Sequence[tuple[Any, float]]) -> list[Similar]:
    return [
        Similar(source=document.source, excerpt=document.excerpt, similarity=round(cosine, 4))
        for document, cosine in nearest
    ]


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
        from wenmo.semantics import fitting
        from wenmo.semantics.choosing import numbers_to_try
        from wenmo.semantics.page import render_map
        from wenmo.semantics.tokens import content_words

        embed = _embedder(settings.from_model) if settings.from_model is not None else None
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
        if embed is not None:
            embed = _measured(embed, documents.texts, context)
        model = fitting.assemble(documents.texts, documents.sources, topics, embed=embed, seed=settings.seed)
        model.facts = {"why": why}
        if len(trials) > 1:
            model.facts["trials"] = [[t.number, t.coherence, t.stability, t.coverage] for t in trials]
        assigned = model.assign(documents.texts)
        page, svg = render_map(model, assigned, ", ".join(Path(path).name for path in paths), settings.seed)
        scored = sorted(held_out) if len(held_out) >= ENOUGH else list(range(len(words)))
        if scored and len(scored) == len(words):
            context.say(
                f"fewer than {ENOUGH} documents are held out, so the scores are those of all documents"
            )
        scores, baselines = _scores(model.topics, words, train, scored, settings, context)
        return TaskOutcome(
            model=Semantics(model, page, settings.from_model),
            metric="coherence",
            scores=scores,
            baselines=baselines,
            examples={"train": len(train), "test": len(held_out)},
            dropped=dict(documents.dropped),
            verdict=_verdict(model.topics.number, scores, baselines, len(train)),
            signatures={
                "coherence": "mean NPMI of the ten heaviest words of each topic over whole documents, from -1 to 1"
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


def _measured(embed: Embed, texts: Sequence[str], context: TaskContext) -> Embed:
    """Tells how long the embeddings of all documents take and shows how far they are.

    Raises:
        ResourceError: When they take more than the budget leaves.
    """
    import time

    import numpy as np

    from wenmo.progress import duration, track

    embed(texts[:1])
    sample = texts[:: max(len(texts) // 8, 1)][:8]
    started = time.monotonic()
    embed(sample)
    seconds = (time.monotonic() - started) / sum(map(len, sample)) * sum(map(len, texts))
    if seconds > context.left:
        raise ResourceError(
            f"reading {len(texts):,} documents with the language model takes about {duration(seconds)}, and the budget "
            f"leaves {duration(context.left)}; give a longer --budget, or leave --from out"
        )
    if seconds > 5:
        context.say(f"the language model reads the documents in about {duration(seconds)}")

    def shown(asked: Sequence[str]) -> Any:
        if len(asked) < len(texts):
            return embed(asked)
        with track("embeddings", len(asked), "documents", context.progress) as progress:
            parts = []
            for start in range(0, len(asked), 16):
                parts.append(embed(asked[start : start + 16]))
                progress.advance(len(parts[-1]))
        return np.concatenate(parts)

    return shown


def _scores(
    topics: Topics,
    words: Sequence[Sequence[str]],
    train: Sequence[int],
    scored: Sequence[int],
    settings: SemanticsSettings,
    context: TaskContext,
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Scores of the topics and of two baselines on the same documents: the other method, and words at random."""
    import random

    import numpy as np

    from wenmo.semantics.coherence import diversity, npmi
    from wenmo.semantics.topics import fit_topics, quality

    def rounded(scores: dict[str, float]) -> dict[str, float]:
        return {
            "coherence": round(scores["coherence"], 4),
            "diversity": round(scores["diversity"], 4),
            "assigned": round(1 - scores["unassigned"], 4),
        }

    held = [words[i] for i in scored]
    baselines: dict[str, dict[str, float]] = {}
    if context.left > context.budget * (1 - LEAST_SHARE) / 2:
        other: Literal["nmf", "lda"] = "lda" if settings.method == "nmf" else "nmf"
        learned = [words[i] for i in train if words[i]]
        peer = fit_topics(
            learned, topics.number, method=other, seed=settings.seed, vocabulary=topics.vocabulary
        )
        baselines[other] = rounded(quality(peer, held))
    top = topics.top()
    pool = sorted({column for topic in top for column in topic})
    random.Random(settings.seed).shuffle(pool)
    size = -(-len(pool) // topics.number)
    dealt = [pool[i : i + size] for i in range(0, len(pool), size)]
    values = [value for value in npmi(dealt, topics.vocabulary.counts(held)) if value == value]
    baselines["the same words at random"] = {
        "coherence": round(float(np.mean(values)) if values else 0.0, 4),
        "diversity": round(diversity(dealt), 4),
    }
    return rounded(quality(topics, held)), baselines


def _verdict(
    number: int, scores: dict[str, float], baselines: dict[str, dict[str, float]], documents: int
) -> str:
    chance = baselines["the same words at random"]["coherence"]
    said = (
        f"{number} topic{'s' * (number != 1)} with a coherence of {scores['coherence']:.2f}, where their words dealt out at "
        f"random have {chance:.2f}; {scores['assigned']:.0%} of the documents belong to one."
    )
    if documents < 100:
        return said + f" That is from {documents} documents; more of them would make the topics surer."
    if scores["coherence"] - chance < 0.05 and number > 1:
        return said + " They hardly hold together: longer documents, or more of them, would help most."
    return said


def _sections(model: SemanticModel, assigned: Any, svg: str, why: str) -> list[Section]:
    from wenmo.semantics.page import shown_topics

    shown = sorted(shown_topics(model, assigned), key=lambda topic: -topic.count)
    rows = tuple(
        (t.label, ", ".join(t.words), t.count, t.examples[0][0] if t.examples else "") for t in shown
    )
    style = (
        "<style>.map .dot{fill:hsl(var(--h) 52% 48%);fill-opacity:.8}.map .none{fill:none;stroke:var(--soft)}"
        ".map .name{font-size:15px;font-weight:650;fill:var(--ink);paint-order:stroke;stroke:var(--card);"
        "stroke-width:4.5px}</style>"
    )
    sections = [
        Section("Topics", (why,), ("topic", "words", "documents", "the most typical document"), rows),
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
    from wenmo.tasking.batch import check_written, gather, write_rows
    from wenmo.tasking.running import load_task

    if output is not None:
        check_written(output)
    opened = load_task(TASK, model)
    assert isinstance(opened, Semantics)
    if not texts and not file:
        rows = _topic_rows(opened.model)
        if output is not None:
            write_rows(output, rows)
        lines = [f"{r['number']:>3}  {r['share']:>4.0%}  {r['label']}\n           {r['words']}" for r in rows]
        none = sum(d.topic < 0 for d in opened.model.documents) / max(len(opened.model.documents), 1)
        content = {"topics": rows, "unassigned": round(none, 4), "why": opened.model.facts.get("why", "")}
        tail = f"     {none:>4.0%}  none of these\n\nMap  {model / MAP}"
        terminal.result(content, "\n".join([*lines, tail]))
        return
    items = gather(texts or [], file or [], column=text_field, encoding=encoding)
    assigned = opened.model.assign([item.text for item in items])
    labels = opened.model.topics.labels
    rows = [
        {
            "text": item.text,
            "topic": topic + 1 if topic >= 0 else None,
            "label": labels[topic] if topic >= 0 else "none of these",
            "share": round(float(shares.max()), 4),
            "fit": round(float(fit), 4),
        }
        for item, topic, shares, fit in zip(
            items, assigned.topic.tolist(), assigned.shares, assigned.fit, strict=True
        )
    ]
    if output is not None:
        write_rows(output, [item.row | row for item, row in zip(items, rows, strict=True)])
        terminal.tell(f"{len(rows):,} texts, {assigned.unassigned:.0%} about none of the topics: {output}")
    text = "\n".join(f"{_number(row['topic'])}  {row['label']}  ({_line(str(row['text']))})" for row in rows)
    terminal.result({"documents": rows, "unassigned": round(assigned.unassigned, 4)}, text)


def _number(topic: Any) -> str:
    return "  -" if topic is None else f"{topic:>3}"


def _line(text: str, length: int = 60) -> str:
    from wenmo.semantics.fitting import excerpt

    return excerpt(text, length)


def _topic_rows(model: SemanticModel) -> list[dict[str, Any]]:
    numbers = [document.topic for document in model.documents]
    return [
        {
            "number": k + 1,
            "label": label,
            "words": " ".join(words),
            "documents": numbers.count(k),
            "share": round(numbers.count(k) / max(len(numbers), 1), 4),
        }
        for k, (label, words) in enumerate(zip(model.topics.labels, model.topics.words(), strict=True))
    ]


def keywords(
    texts: list[str] | None = None,
    /,
    *,
    file: list[Path] | None = None,
    model: Path | None = None,
    top: Annotated[int, Field(ge=1)] = 10,
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
        model: Folder that wenmo train --task semantics wrote; its corpus is what is usual. Without it that is text at large
            and the other documents given.
        top: Most phrases of a document.
        overall: Find the phrases of all documents together.
        unit: What of a text file is a document: file, line, or auto (lines of a single file, else whole files).
        text_field: Column with the text; guessed when not given.
        encoding: Encoding of the files; detected when not given.
        output: File for the results: csv, tsv, jsonl or parquet.
        terminal: Where the result goes.
    """
    from wenmo.semantics.background import Background
    from wenmo.semantics.keywords import extract, extract_overall
    from wenmo.semantics.tokens import tokens
    from wenmo.tasking.batch import check_written, write_rows
    from wenmo.tasking.running import load_task

    if output is not None:
        check_written(output)
    given, sources = _given(texts or [], file or [], text_field, encoding, unit, terminal)
    if model is not None:
        opened = load_task(TASK, model)
        assert isinstance(opened, Semantics)
        background = opened.model.background
    else:
        background = Background() if overall or len(given) == 1 else Background.of(map(tokens, given))
    if overall:
        found = extract_overall([(text, tokens(text)) for text in given], background, top=top)
        _show(
            [("", found)],
            {"documents": len(given), "keywords": [k.model_dump() for k in found]},
            output,
            terminal,
        )
        return
    each = [extract(text, background, top=top) for text in _tracked(given, terminal)]
    if output is not None and output.suffix.lower() in (".jsonl", ".parquet"):
        listed = zip(sources, each, strict=True)
        write_rows(
            output, [{"source": s, "keywords": [k.model_dump() for k in found]} for s, found in listed]
        )
        output = None
    content = {
        "documents": [
            {"source": source, "keywords": [k.model_dump() for k in found]}
            for source, found in zip(sources, each, strict=True)
        ]
    }
    _show(list(zip(sources, each, strict=True)), content, output, terminal)


def _tracked(texts: Sequence[str], terminal: Terminal) -> Any:
    from wenmo.progress import track

    with track("keywords", len(texts), "documents", terminal.progress) as progress:
        for text in texts:
            yield text
            progress.advance()


def _given(
    texts: Sequence[str],
    files: Sequence[Path],
    text_field: str | None,
    encoding: str | None,
    unit: Unit,
    terminal: Terminal,
) -> tuple[list[str], list[str]]:
    """Texts of the command line, and the documents of what is a file or folder."""
    from wenmo.semantics.documents import read_documents

    written: list[str] = []
    paths: list[str | Path] = list(files)
    for text in texts:
        if text != "-" and not _exists(text):
            if _names_file(text):
                raise InputError(f"there is no file {text}; a text with such a name can be given in a file")
            written.append(text)
        elif (Path(text) / "task.json").is_file():
            raise OptionError(f"{text} is a model; give it with --model, and the texts beside it")
        else:
            paths.append(text)
    if not written and not paths:
        raise OptionError("there is no text; give one, or files, or - for standard input")
    sources = [""] * len(written)
    if paths:
        read = read_documents(paths, text_field=text_field, encoding=encoding, unit=unit)
        for note in read.notes:
            terminal.tell(note)
        for reason, count in read.dropped.items():
            terminal.tell(f"left out: {count:,} {reason}")
        written += read.texts
        sources += read.sources
    return written, sources


def _exists(text: str) -> bool:
    try:
        return any(character in text for character in "*?[") and "/" in text or Path(text).exists()
    except (OSError, ValueError):
        return False


def _names_file(text: str) -> bool:
    """Whether a text can only have been meant as the name of a file."""
    return " " not in text and text.lower().endswith(
        (".txt", ".md", ".csv", ".tsv", ".jsonl", ".parquet", ".gz")
    )


def _show(
    results: Sequence[tuple[str, Sequence[Keyword]]],
    content: dict[str, Any],
    output: Path | None,
    terminal: Terminal,
) -> None:
    from wenmo.tasking.batch import write_rows

    if output is not None:
        rows = [
            {"source": source, "rank": rank, **keyword.model_dump()}
            for source, found in results
            for rank, keyword in enumerate(found, 1)
        ]
        write_rows(output, rows)
    lines: list[str] = []
    for source, found in results:
        if len(results) > 1:
            lines += ([""] if lines else []) + [source or "text"]
        lines += [f"{keyword.score:7.3f}  {keyword.text}" for keyword in found] or ["         no key phrase"]
    terminal.result(content, "\n".join(lines))


def similar(
    model: Path,
    texts: list[str] | None = None,
    /,
    *,
    file: list[Path] | None = None,
    top: Annotated[int, Field(ge=1)] = 5,
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
    from wenmo.tasking.batch import check_written, gather, write_rows
    from wenmo.tasking.running import load_task

    if output is not None:
        check_written(output)
    opened = load_task(TASK, model)
    assert isinstance(opened, Semantics)
    items = gather(texts or [], file or [], column=text_field, encoding=encoding)
    found = [_similar(row) for row in opened.model.similar([item.text for item in items], top)]
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
            lines += ([""] if lines else []) + [_line(item.text)]
        lines += [f"{near.similarity:6.3f}  {near.source}  {_line(near.excerpt, 80)}" for near in row]
        if not row:
            lines.append("        no word of it stands in the corpus")
    content = {
        "texts": [
            {"text": item.text, "similar": [near.model_dump() for near in row]}
            for item, row in zip(items, found, strict=True)
        ]
    }
    terminal.result(content, "\n".join(lines))
