"""The corpus directory: Parquet parts of three splits, a manifest and a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from wenmo.config import CorpusSettings
from wenmo.corpus.splitting import SPLITS
from wenmo.errors import InputError

FORMAT = 1
MANIFEST = "manifest.json"
REPORT = "report.html"
MAX_JOINED_CHARS = 64 << 20


@dataclass(frozen=True)
class Document:
    """One document of a corpus.

    Attributes:
        text: Its cleaned text (of a document longer than 64 M characters, one part of it).
        source: File and line it comes from.
        meta: `split`, and `part` for one part of an oversize document.
    """

    text: str
    source: str
    meta: dict[str, str] = field(default_factory=dict)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileRecord(_Record):
    """What became of one input file."""

    source: str
    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    sha256: str
    encoding: str | None
    kept: int
    dropped: dict[str, int]


class PartRecord(_Record):
    """One Parquet file of a split."""

    name: str
    size: int


class SplitRecord(_Record):
    """Totals of a split; `bytes` counts UTF-8, `scripts` characters."""

    documents: int
    bytes: int
    chars: int
    scripts: dict[str, int]
    parts: list[PartRecord]


def losses(
    dropped: Mapping[str, int], examples: Mapping[str, Sequence[str]], skipped: Mapping[str, int]
) -> list[str]:
    """Says what was left out and why, one line for each reason.

    Args:
        dropped: Documents by reason.
        examples: Places of some of them by reason; the first one is told.
        skipped: Files that were not read, by suffix.
    """
    lines = []
    for reason, count in dropped.items():
        places = examples.get(reason)
        lines.append(f"dropped {count:,}: {reason}" + (f" (first: {places[0]})" if places else ""))
    if skipped:
        often = sorted(skipped.items(), key=lambda kind: (-kind[1], kind[0]))
        named = ", ".join(
            f"{'without ending' if kind == '(none)' else kind} {count:,}"
            for kind, count in often[:SHOWN_KINDS]
        )
        more = f" and {len(often) - SHOWN_KINDS:,} more kinds" if len(often) > SHOWN_KINDS else ""
        total = sum(skipped.values())
        lines.append(f"not read, by their names: {total:,} file{'s' * (total != 1)} ({named}{more})")
    return lines


class Manifest(_Record):
    """Everything that decides and describes a corpus."""

    format: int
    wenmo: str
    settings: CorpusSettings
    paths: list[str]
    files: list[FileRecord]
    skipped: dict[str, int]
    dropped: dict[str, int]
    examples: dict[str, list[str]]
    splits: dict[str, SplitRecord]
    lengths: list[int]
    """Documents by length: position p counts those of 2^p to 2^(p+1)-1 characters."""
    notes: list[str]
    fingerprint: str

    def losses(self) -> list[str]:
        """Says what was left out and why; see `losses`."""
        return losses(self.dropped, self.examples, self.skipped)

    def unheeded(self, settings: CorpusSettings) -> str | None:
        """Says which given settings have no effect, as the corpus was prepared with others; None without any."""
        kept = {
            name: getattr(self.settings, name)
            for name in sorted(settings.model_fields_set)
            if getattr(settings, name) != getattr(self.settings, name)
        }
        if not kept:
            return None
        named = ", ".join(f"{name} {_told(value)}" for name, value in kept.items())
        return f"note: the corpus is prepared already and keeps its {named}; name the files themselves to change that"


SHOWN_KINDS = 5
"""Kinds of skipped files that are named."""


def _told(value: object) -> str:
    """A setting in words."""
    if value is None or value == ():
        return "none"
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


class Corpus:
    """An open corpus directory.

    Attributes:
        path: The directory.
        manifest: What is in it and where it came from.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Opens a corpus directory.

        Raises:
            InputError: When it is no corpus, of another version, or parts of it are missing or truncated.
        """
        path = Path(path)
        again = "run `wenmo prepare` again"
        try:
            text = (path / MANIFEST).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(
                f"{path} is no corpus (it has no {MANIFEST}); make one with `wenmo prepare`"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path / MANIFEST} cannot be read: {error}; {again}") from error
        try:
            manifest = Manifest.model_validate_json(text)
        except ValidationError as error:
            raise InputError(f"{path / MANIFEST} is damaged or of another version; {again}") from error
        if manifest.format != FORMAT:
            raise InputError(
                f"{path} has corpus format {manifest.format}, this version reads {FORMAT}; {again}"
            )
        for split, record in manifest.splits.items():
            for part in record.parts:
                file = path / split / part.name
                if not file.is_file() or file.stat().st_size != part.size:
                    raise InputError(f"{file} is missing or truncated; {again}")
        return cls(path, manifest)

    def _rows(self, split: str, columns: list[str]) -> Iterator[tuple[Any, ...]]:
        import pyarrow.parquet as pq

        self._record(split)
        for part in self.manifest.splits[split].parts:
            with pq.ParquetFile(self.path / split / part.name, memory_map=True) as file:
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group, columns=columns)
                    yield from zip(*(table[name].to_pylist() for name in columns), strict=True)

    def parts(self, split: str) -> Iterator[tuple[str, bool]]:
        """Yields (text, whether it ends its document) in stored order; parts join without a gap."""
        for text, last in self._rows(split, ["text", "last"]):
            yield str(text), bool(last)

    def texts(self, split: str) -> Iterator[str]:
        """Yields the documents' texts in stored order.

        A document of more than 64 M characters comes in several pieces; use `parts` to see where it ends.
        """
        for document in self._joined(split, ["text", "last"]):
            yield document[0]

    def documents(self, split: str) -> Iterator[Document]:
        """Yields the documents with the file and line they come from."""
        part = 0
        for text, last, source in self._joined(split, ["text", "last", "source"]):
            meta = {"split": split}
            if part or not last:
                meta["part"] = str(part)
            part = 0 if last else part + 1
            yield Document(text, source, meta)

    def _joined(self, split: str, columns: list[str]) -> Iterator[tuple[Any, ...]]:
        pending: list[str] = []
        size = 0
        for text, last, *rest in self._rows(split, columns):
            pending.append(text)
            size += len(text)
            if last or size >= MAX_JOINED_CHARS:
                yield ("".join(pending), last, *rest)
                pending, size = [], 0

    def _record(self, split: str) -> SplitRecord:
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}; there are {', '.join(SPLITS)}")
        return self.manifest.splits[split]

    def count(self, split: str) -> int:
        """Number of documents in a split; a document that was cut counts in each split it reaches."""
        return self._record(split).documents

    def bytes(self, split: str) -> int:
        """UTF-8 bytes of the documents' text in a split."""
        return self._record(split).bytes

    @property
    def fingerprint(self) -> str:
        """Hex digest of the text of all splits; changes when the text changes."""
        return self.manifest.fingerprint
