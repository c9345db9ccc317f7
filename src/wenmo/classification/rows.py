"""The user's labelled examples: from files to texts and labels, with everything left out counted."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wenmo.classification.folds import text_key
from wenmo.corpus.records import TEXT_FIELDS
from wenmo.errors import InputError
from wenmo.examples import Role, Row, Table, assign_columns, read_table
from wenmo.examples.table import TEXT_COLUMN

LABEL_COLUMN = "label"
TEXT_NAMES = ("text", "review", "sentence", "content", "comment", "评论", "文本", "内容", "评价", "句子")
LABEL_NAMES = (
    *("label", "labels", "sentiment", "class", "category", "polarity", "target", "intent", "topic", "tag"),
    *("rating", "stars", "score", "标签", "情感", "类别", "分类", "极性", "评分", "星级", "意图"),
)
_PLAIN = (".txt", ".md", ".pos", ".neg")
_FASTTEXT = re.compile(r"__label__(\S+)\s+(.*)", re.DOTALL)


@dataclass
class Examples:
    """Labelled texts.

    Attributes:
        texts: Texts, white space around them left out.
        labels: As many labels.
        places: File and line of each.
        dropped: Reason -> number of rows left out.
        notes: What was found out, a sentence each.
    """

    texts: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def read_examples(
    paths: Sequence[str], *, text_field: str | None, label_field: str | None, encoding: str | None
) -> Examples:
    """Reads labelled texts.

    Tables have a column of texts and one of labels. Several plain text files are one label each, named by the file
    (`pos.txt`, `neg.txt`), with one text a line; a folder of folders of text files is one label for each folder and one
    text for each file; a single plain file needs lines `label<TAB>text` or `__label__NAME text`.

    Args:
        paths: Files.
        text_field: Column with the text; guessed when not given.
        label_field: Column with the label; guessed when not given.
        encoding: Of the files; detected when not given.

    Raises:
        InputError: When a file cannot be read or no column can be the text or the label.
        OptionError: When a named column is not there.
    """
    folders = _label_folders(paths)
    plain = [Path(path).suffix.lower() in _PLAIN for path in paths]
    if folders and text_field is None and label_field is None:
        table, said = _by_folder(folders, encoding)
        columns = {"text": TEXT_COLUMN, "label": LABEL_COLUMN}
    elif all(plain) and len(paths) > 1 and text_field is None and label_field is None:
        table, said = _by_file(paths, encoding)
        columns = {"text": TEXT_COLUMN, "label": LABEL_COLUMN}
    else:
        table = read_table(paths, encoding=encoding)
        if table.plain:
            table = _by_line(table, str(paths[0]))
        roles = [
            Role("label", "--label-field", LABEL_NAMES, "label"),
            Role("text", "--text-field", (*TEXT_NAMES, *TEXT_FIELDS), "text"),
        ]
        columns, said = assign_columns(table, roles, {"text": text_field, "label": label_field})
    found = Examples(dropped=Counter(table.dropped), notes=[*table.notes, said])
    for row in table.rows:
        text, label = row.text(columns["text"]), row.text(columns["label"])
        reason = None
        if not text:
            reason = "empty text"
        elif not label:
            reason = "no label"
        if reason is not None:
            if not found.dropped[reason]:
                found.notes.append(f"left out: {reason} (first in {row.place})")
            found.dropped[reason] += 1
            continue
        found.texts.append(text)
        found.labels.append(label)
        found.places.append(row.place)
    return found


def _label_folders(paths: Sequence[str]) -> list[Path]:
    """Folders with text files inside the only path, when there are two at least."""
    if len(paths) != 1 or not Path(paths[0]).is_dir():
        return []
    found = sorted(folder for folder in Path(paths[0]).iterdir() if folder.is_dir())
    found = [folder for folder in found if any(folder.glob("*.txt"))]
    return found if len(found) > 1 else []


def _by_folder(folders: Sequence[Path], encoding: str | None) -> tuple[Table, str]:
    """One label for each folder, one text for each file in it."""
    whole = Table(columns=(TEXT_COLUMN, LABEL_COLUMN))
    for folder in folders:
        for path in sorted(folder.glob("*.txt")):
            try:
                text = path.read_bytes().decode(encoding or "utf-8").removeprefix("\ufeff")
            except (UnicodeDecodeError, LookupError):  # the encoding is detected, or the mistake is told
                text = "\n".join(row.text(TEXT_COLUMN) for row in read_table([path], encoding=encoding).rows)
            whole.rows.append(Row({TEXT_COLUMN: text, LABEL_COLUMN: folder.name}, str(path), 1))
    return whole, f"one label for each folder: {', '.join(folder.name for folder in folders)}"


def _by_file(paths: Sequence[str], encoding: str | None) -> tuple[Table, str]:
    """One label for each file."""
    names = [Path(path).stem for path in paths]
    if len(set(names)) < len(names):  # rt-polarity.pos, rt-polarity.neg
        names = [Path(path).name for path in paths]
    whole = Table(columns=(TEXT_COLUMN, LABEL_COLUMN))
    for path, name in zip(paths, names, strict=True):
        table = read_table([path], encoding=encoding)
        whole.rows += [
            Row({TEXT_COLUMN: row.text(TEXT_COLUMN), LABEL_COLUMN: name}, row.source, row.line)
            for row in table.rows
        ]
        whole.dropped += table.dropped
        whole.notes += table.notes
    return whole, f"one label for each file: {', '.join(names)}"


def _by_line(table: Table, path: str) -> Table:
    """Labels inside the lines of a plain text file."""
    rows = []
    for row in table.rows:
        line = row.text(TEXT_COLUMN)
        match = _FASTTEXT.match(line)
        if match:
            label, text = match.groups()
        elif line.count("\t") == 1:
            label, text = line.split("\t")
            if len(label) > len(text):
                label, text = text, label
        else:
            raise InputError(
                f"{row.place}: a plain text file holds no labels; give one file for each label (pos.txt neg.txt), "
                "lines 'label<TAB>text', or a csv, tsv or jsonl with a column of labels"
            )
        rows.append(Row({TEXT_COLUMN: text, LABEL_COLUMN: label}, row.source, row.line))
    return Table((LABEL_COLUMN, TEXT_COLUMN), rows, table.dropped, table.notes)


def contradictions(texts: Sequence[str], labels: Sequence[str]) -> int:
    """Number of different texts that stand there with more than one label."""
    seen: dict[str, set[str]] = defaultdict(set)
    for text, label in zip(texts, labels, strict=True):
        seen[text_key(text)].add(label)
    return sum(len(found) > 1 for found in seen.values())
