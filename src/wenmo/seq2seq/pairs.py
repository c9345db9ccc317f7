"""Reading sentence pairs: two aligned files, tables with two columns, and translation memories (TMX)."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wenmo.config import CorpusSettings
from wenmo.corpus.inputs import Source, find_inputs
from wenmo.corpus.planning import plan_source
from wenmo.corpus.reading import decoded
from wenmo.errors import InputError, OptionError
from wenmo.examples import Table, read_table
from wenmo.text.scripts import han_share

LANGUAGES = {
    "zh": ("zh", "chinese", "mandarin", "中文", "汉语", "漢語", "华语", "zho", "cmn", "cn"),
    "en": ("en", "english", "英文", "英语", "英語", "eng"),
    "de": ("de", "german", "deutsch", "德文", "德语", "deu"),
    "fr": ("fr", "french", "français", "法文", "法语", "fra"),
    "es": ("es", "spanish", "español", "西班牙语", "spa"),
    "ja": ("ja", "japanese", "日文", "日语", "jpn"),
    "ko": ("ko", "korean", "韩文", "韩语", "kor"),
    "ru": ("ru", "russian", "俄文", "俄语", "rus"),
}
"""Languages that are recognised by the name of a column or the ending of a file."""
FREQUENT = {
    "en": {"the", "is", "you", "to", "i", "of", "and", "he", "that", "was"},
    "de": {"der", "die", "das", "und", "ist", "ein", "eine", "ich", "nicht", "in"},
    "fr": {"le", "la", "les", "je", "est", "de", "que", "un", "une", "vous"},
    "es": {"el", "la", "los", "que", "de", "no", "es", "un", "una", "en"},
}
"""The commonest words of languages in Latin letters, by which a side without a name is recognised."""
SOURCE_NAMES = ("source", "src", "input", "original", "原文", "源文", "源", "source_text")
TARGET_NAMES = ("target", "tgt", "trg", "output", "translation", "译文", "目标", "翻译", "target_text")
CHINESE = 0.3
"""Share of Han characters among the letters from which on a side is Chinese."""
SAMPLE = 2_000


@dataclass(frozen=True)
class Pair:
    """A text and its translation.

    Attributes:
        source: The text.
        target: Its translation.
        place: File and line.
    """

    source: str
    target: str
    place: str


@dataclass
class Pairs:
    """What was read.

    Attributes:
        rows: The pairs, as they stand in the files.
        languages: Names of the two sides, such as `en` and `zh`; `source` and `target` where they are not known.
        dropped: Reason -> pairs left out.
        notes: What was found out, a sentence each.
    """

    rows: list[Pair]
    languages: tuple[str, str]
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def read_pairs(
    paths: Sequence[str | Path],
    *,
    encoding: str | None = None,
    source_field: str | None = None,
    target_field: str | None = None,
) -> Pairs:
    """Reads sentence pairs.

    Args:
        paths: Two plain text files whose lines correspond (source first), or tables (csv, tsv, jsonl, parquet) with a
            column for each side, or .tmx files.
        encoding: Of all files; detected per file when not given.
        source_field: Column of the source; guessed when not given. For TMX its language.
        target_field: Column of the target; guessed when not given. For TMX its language.

    Raises:
        InputError: When files cannot be read, have no pairs, or do not correspond line by line.
        OptionError: When a named column is not there.
    """
    with tempfile.TemporaryDirectory(prefix="wenmo.") as folder:
        found = find_inputs(paths, Path(folder) / "stdin.txt")
        sources = found.sources
        memories = [s for s in sources if _stem(s).endswith(".tmx")]
        if memories and len(memories) < len(sources):
            raise InputError("TMX files and other files cannot be read together; train on one kind of file")
        if memories:
            from wenmo.seq2seq.memories import memory_pairs

            return memory_pairs(memories, source_field, target_field)
        plain = [s for s in sources if s.kind == "text" and s.label != "<stdin>"]
        if plain and len(plain) == len(sources):
            if source_field or target_field:
                option = "--source-field" if source_field else "--target-field"
                raise OptionError(f"{option}: plain text files have no columns; leave it out")
            return _aligned_pairs(plain, encoding)
    return table_pairs(read_table(paths, encoding=encoding), source_field, target_field)


def _stem(source: Source) -> str:
    """Name of a file in lower case, without the ending of its compression."""
    return re.sub(r"\.(gz|zst)$", "", (source.member or source.path.name).lower())


def language_named(name: str) -> str | None:
    """Returns the language that a column name, file ending or code such as `zh-CN` stands for; None if none."""
    key = name.strip().lower()
    short = re.split(r"[-_ .(]", key)[0]
    for language, names in LANGUAGES.items():
        if key in names or short in names:
            return language
    return None


def name_languages(rows: Sequence[Pair], hints: tuple[str, str]) -> tuple[str, str]:
    """Names both sides by hints (column names, file endings), by script or frequent words, or `source` and `target`."""
    sample = rows[:SAMPLE]
    names = [language_named(hint) for hint in hints]
    sides = ("\n".join(p.source for p in sample), "\n".join(p.target for p in sample))
    chinese = [han_share(text) > CHINESE for text in sides]
    for side in (0, 1):
        if names[side] is None:
            names[side] = "zh" if chinese[side] else _by_words(sides[side])
    first, second = names[0] or "source", names[1] or "target"
    return (first, second) if first != second else (f"{first}-1", f"{second}-2")


def _by_words(text: str) -> str | None:
    """The language whose commonest words make up the most of a text, at least one in ten; None when none does."""
    found = Counter(word.strip(".,!?;:\"'").lower() for word in text.split())
    shares = {name: sum(found[word] for word in common) for name, common in FREQUENT.items()}
    best = max(shares, key=lambda name: shares[name])
    return best if 10 * shares[best] >= max(sum(found.values()), 1) else None


# -- two files ---------------------------------------------------------------------------------------------------


def text_lines(source: Source, encoding: str | None) -> list[str]:
    """Returns the lines of a text file, empty ones too, without their ends.

    Raises:
        InputError: When it cannot be read.
    """
    plan = plan_source(source, "", CorpusSettings(encoding=encoding))
    if plan.encoding is None:
        detail = f"{plan.reason} ({plan.detail})".replace("--corpus.encoding", "--encoding")
        raise InputError(f"{source.label} cannot be read: {detail}")
    text = "".join(decoded(source, plan.encoding)).removeprefix("\ufeff")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if lines and not lines[-1] else lines


def _aligned_pairs(sources: list[Source], encoding: str | None) -> Pairs:
    if len(sources) != 2:
        raise InputError(
            f"{sources[0].label}: pairs in plain text need two files, the source and its translation line by line, and "
            f"{len(sources)} were given; put both sides into one tsv, or name the second file"
        )
    first, second = (text_lines(source, encoding) for source in sources)
    if len(first) != len(second):
        raise InputError(
            f"{sources[0].label} has {len(first):,} lines and {sources[1].label} {len(second):,}; line by line they "
            "must correspond, so add or remove lines until both have as many"
        )
    label = sources[0].label
    rows = [Pair(a, b, f"{label}, line {n}") for n, (a, b) in enumerate(zip(first, second, strict=True), 1)]
    if not any(a.strip() or b.strip() for a, b in zip(first, second, strict=True)):
        raise InputError(f"{label}: there are no pairs in it; give files with text")
    endings = (_stem(sources[0]).rsplit(".", 1)[-1], _stem(sources[1]).rsplit(".", 1)[-1])
    languages = name_languages(rows, endings)
    note = f"pairs: source from {sources[0].label} ({languages[0]}), target from {sources[1].label} ({languages[1]})"
    return Pairs(rows, languages, notes=[note])


# -- tables ------------------------------------------------------------------------------------------------------


def table_pairs(table: Table, source_field: str | None = None, target_field: str | None = None) -> Pairs:
    """Takes the pairs out of a table.

    Args:
        table: The rows; a cell that holds an object such as {"en": ..., "zh": ...} counts as several columns.
        source_field: Column of the source; guessed when not given.
        target_field: Column of the target; guessed when not given.

    Raises:
        InputError: When no two columns look like text.
        OptionError: When a named column is not there.
    """
    cells = [_flat(row.values) for row in table.rows]
    columns = list(dict.fromkeys(name for row in cells for name in row))
    for option, name in (("--source-field", source_field), ("--target-field", target_field)):
        if name is not None and name not in columns:
            raise OptionError(f"{option}: there is no column {name!r}; the columns are {', '.join(columns)}")
    if source_field is not None and source_field == target_field:
        raise OptionError(f"--target-field: the column {target_field!r} is the source already")
    source, target = _choose_columns(columns, cells, source_field, target_field)
    if source is None or target is None:
        place = table.rows[0].source
        raise InputError(
            f"{place}: two columns with text are needed, a source and its translation; the columns are "
            f"{', '.join(columns)}; name them with --source-field and --target-field"
        )
    rows = [
        Pair(row.get(source, ""), row.get(target, ""), r.place)
        for row, r in zip(cells, table.rows, strict=True)
    ]
    languages = name_languages(rows, (source.rsplit(".", 1)[-1], target.rsplit(".", 1)[-1]))
    note = (
        f"columns: source from {source!r} ({languages[0]}), target from {target!r} ({languages[1]}) "
        f"(of {', '.join(columns)})"
    )
    return Pairs(rows, languages, Counter(table.dropped), [*table.notes, note])


def _flat(values: dict[str, object]) -> dict[str, str]:
    """The text cells of a row; objects inside a cell become columns named `cell.key`."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, str):
            flat[name] = value
        elif isinstance(value, dict):
            flat |= {f"{name}.{key}": item for key, item in value.items() if isinstance(item, str)}
        elif value is None:
            flat[name] = ""
    return flat


def _choose_columns(
    columns: list[str], cells: list[dict[str, str]], source: str | None, target: str | None
) -> tuple[str | None, str | None]:
    lowered = {column.strip().lower(): column for column in reversed(columns)}
    if source is None:
        source = next((lowered[n] for n in SOURCE_NAMES if n in lowered and lowered[n] != target), None)
    if target is None:
        target = next((lowered[n] for n in TARGET_NAMES if n in lowered and lowered[n] != source), None)
    named = [c for c in columns if language_named(c.rsplit(".", 1)[-1]) and c not in (source, target)]
    textual = [c for c in columns if c not in (source, target) and _is_text(c, cells[:SAMPLE])]
    if len(textual) > 2:
        textual = [c for c in textual if not _is_formula(c, cells[:SAMPLE])] or textual
    for column in (*named, *textual):
        if column in (source, target):
            continue
        if source is None:
            source = column
        elif target is None:
            target = column
    return source, target


def _is_text(column: str, cells: list[dict[str, str]]) -> bool:
    """Whether most cells of a column hold letters."""
    values = [row[column] for row in cells if row.get(column, "").strip()]
    return bool(values) and 2 * sum(any(c.isalpha() for c in value) for value in values) >= len(values)


def _is_formula(column: str, cells: list[dict[str, str]]) -> bool:
    """Whether most cells of a column begin alike, as licences and links do."""
    beginnings = Counter(row.get(column, "").strip()[:10] for row in cells)
    return 2 * beginnings.most_common(1)[0][1] > len(cells)
