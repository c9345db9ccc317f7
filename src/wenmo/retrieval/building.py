"""Making an index and keeping it up to date: unchanged files are not read again, the hashes decide."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wenmo.config import CorpusSettings
from wenmo.corpus.inputs import find_inputs
from wenmo.corpus.planning import hash_file, plan_source
from wenmo.errors import InputError, ModelError
from wenmo.files import atomic_directory
from wenmo.progress import track
from wenmo.retrieval.bm25 import ARRAYS, FORMAT_VERSION, Index, open_index
from wenmo.retrieval.passages import Piece, read_passages
from wenmo.retrieval.terms import terms
from wenmo.text import script_counts
from wenmo.text.folding import can_simplify


@dataclass
class IndexReport:
    """What was done.

    Attributes:
        read: Files that were read.
        kept: Files that were taken over, unchanged.
        removed: Files that are no longer there.
        passages: Passages in the index.
        left_out: Files without passages and why.
        skipped: Files of folders that are no text, by suffix.
    """

    read: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    passages: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


class IndexBuilder:
    """Collects passages and writes an index."""

    def __init__(self) -> None:
        self.files: list[dict[str, Any]] = []
        self._numbers: dict[str, int] = {}
        self._texts: list[bytes] = []
        self._places: list[tuple[int, int, int, int]] = []
        self._rows: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]] = []
        self._lengths: list[int] = []
        self._scripts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, label: str, sha256: str, pieces: Iterable[Piece]) -> int:
        """Adds a file; returns its number of passages."""
        scripts: Counter[str] = Counter()
        before = len(self)
        for piece in pieces:
            counts = Counter(terms(piece.text))
            ids = [self._numbers.setdefault(term, len(self._numbers)) for term in counts]
            self._rows.append((np.array(ids, np.int32), np.array(list(counts.values()), np.int32)))
            self._lengths.append(counts.total())
            self._texts.append(piece.text.encode("utf-8", "surrogatepass"))
            self._places.append((len(self.files), piece.line, piece.start, len(piece.text)))
            scripts.update(script_counts(piece.text))
        self._close(label, sha256, len(self) - before, dict(scripts))
        return len(self) - before

    def take(self, old: Index, file: int) -> int:
        """Takes a file over from another index; returns its number of passages."""
        facts = old.facts["files"][file]
        names = old.names
        places = old.arrays["places"]
        first_row, last_row = map(int, np.searchsorted(places[:, 2], [file, file + 1]))
        for row in range(first_row, last_row):
            span = slice(int(old.arrays["row_starts"][row]), int(old.arrays["row_starts"][row + 1]))
            ids = [
                self._numbers.setdefault(names[number], len(self._numbers))
                for number in old.arrays["row_terms"][span].tolist()
            ]
            self._rows.append((np.array(ids, np.int32), np.array(old.arrays["row_counts"][span], np.int32)))
            self._lengths.append(int(old.arrays["lengths"][row]))
            first, after, _, line, start, length = places[row].tolist()
            self._texts.append(old.texts[first:after].tobytes())
            self._places.append((len(self.files), line, start, length))
        self._close(facts["label"], facts["sha256"], last_row - first_row, facts["scripts"])
        return last_row - first_row

    def _close(self, label: str, sha256: str, passages: int, scripts: dict[str, int]) -> None:
        self._scripts.update(scripts)
        self.files.append({"label": label, "sha256": sha256, "passages": passages, "scripts": scripts})

    def index(self, settings: dict[str, Any]) -> Index:
        """Returns the index in memory."""
        sizes = np.array([len(ids) for ids, _ in self._rows], np.int64)
        empty = np.zeros(0, np.int32)
        row_terms = np.concatenate([empty, *(ids for ids, _ in self._rows)])
        row_counts = np.concatenate([empty, *(counts for _, counts in self._rows)])
        owner = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        order = np.argsort(row_terms, kind="stable")
        per_term = np.bincount(row_terms, minlength=len(self._numbers))
        ends = np.cumsum([len(text) for text in self._texts], dtype=np.int64)
        bytes_ = np.array([len(text) for text in self._texts], np.int64)
        places = np.array(self._places, np.int64).reshape(-1, 4)
        letters = sum(self._scripts[name] for name in ("han", "latin", "other"))
        facts = {
            "format_version": FORMAT_VERSION,
            "settings": settings,
            "files": self.files,
            "han_share": self._scripts["han"] / letters if letters else 0.0,
        }
        arrays = {
            "places": np.concatenate([(ends - bytes_)[:, None], ends[:, None], places], 1).astype(np.int64),
            "row_starts": np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            "row_terms": row_terms,
            "row_counts": row_counts,
            "post_starts": np.concatenate([[0], np.cumsum(per_term)]).astype(np.int64),
            "post_passages": owner[order],
            "post_counts": row_counts[order],
            "lengths": np.array(self._lengths, np.float32),
        }
        texts = np.frombuffer(b"".join(self._texts), np.uint8)
        return Index(facts, self._numbers, arrays, texts)


def write_index(index: Index, directory: Path) -> None:
    """Writes an index, whole or not at all.

    Raises:
        ResourceError: When the disk is full or the folder is not writable.
    """
    with atomic_directory(directory) as temporary:
        for name in ARRAYS:
            np.save(temporary / f"{name}.npy", index.arrays[name], allow_pickle=False)
        (temporary / "texts.utf8").write_bytes(index.texts.tobytes())
        (temporary / "terms.json").write_text(json.dumps(list(index.vocabulary), ensure_ascii=False), "utf-8")
        (temporary / "index.json").write_text(json.dumps(index.facts, ensure_ascii=False), "utf-8")


def index_texts(texts: Sequence[str], label: str = "passages") -> Index:
    """Returns an index in memory of texts that are passages as they are (for training and scoring)."""
    builder = IndexBuilder()
    builder.add(label, "", (Piece(text, line, 0) for line, text in enumerate(texts, 1)))
    return builder.index({})


def update_index(
    paths: Sequence[str | Path],
    directory: Path | None,
    *,
    text_field: str | None = None,
    encoding: str | None = None,
    most: int | None = None,
    progress: bool = True,
) -> tuple[Index, IndexReport]:
    """Makes the index of documents, or brings an existing one up to date.

    A file whose SHA-256 is that of the index is taken over without being decoded, cut and segmented again; changed
    files are read again, and those that are no longer named or there go.

    Args:
        paths: Files, folders, patterns.
        directory: Where the index stands; None keeps it in memory.
        text_field: Field or column with the text of rows; guessed when None.
        encoding: Of text files; detected when None.
        most: Longest passage, in characters.
        progress: Whether progress is shown.

    Raises:
        InputError: When a path is not there, or the documents hold no text.
        ResourceError: When the index cannot be written.
    """
    settings = {"text_field": text_field, "encoding": encoding, "most": most, "simplified": can_simplify()}
    old = _old(directory, settings)
    known = {} if old is None else {f["label"]: (n, f["sha256"]) for n, f in enumerate(old.facts["files"])}
    report, builder = IndexReport(), IndexBuilder()
    corpus = CorpusSettings(text_field=text_field, encoding=encoding)
    with tempfile.TemporaryDirectory(prefix="wenmo.") as folder:
        found = find_inputs(paths, Path(folder) / "stdin.txt")
        report.skipped = found.skipped
        report.left_out.extend(found.unreadable)
        total = sum(source.path.stat().st_size for source in found.sources)
        with track("Reading the documents", total, "B", progress) as bar:
            for source in found.sources:
                digest = hash_file(source.path)
                number, before = known.pop(source.label, (-1, ""))
                if old is not None and digest == before:
                    builder.take(old, number)
                    report.kept.append(source.label)
                else:
                    plan = plan_source(source, digest, corpus)
                    if plan.encoding is None:
                        report.left_out.append((source.label, f"{plan.reason}: {plan.detail}"))
                    else:
                        try:
                            passages = builder.add(source.label, digest, read_passages(plan, most))
                        except OSError as error:
                            raise InputError(f"{source.label} cannot be read: {error}") from error
                        report.read.append(source.label)
                        if not passages:
                            report.left_out.append((source.label, "no text"))
                bar.advance(source.path.stat().st_size)
    report.removed = sorted(known)
    report.passages = len(builder)
    if not len(builder):
        reasons = "; ".join(f"{label}: {reason}" for label, reason in report.left_out[:3])
        raise InputError(
            f"{', '.join(map(str, paths))}: there is no text in the documents"
            + (f" ({reasons})" if reasons else "")
            + "; name files of text (.txt, .md, .html, .csv, .jsonl, .parquet)"
        )
    index = builder.index(settings)
    if directory is not None and (old is None or report.read or report.removed or len(old) != len(index)):
        write_index(index, directory)
        index = open_index(directory)
    return index, report


def _old(directory: Path | None, settings: dict[str, Any]) -> Index | None:
    """The index that stands there, unless it is damaged or was made in another way."""
    if directory is None or not (directory / "index.json").exists():
        return None
    try:
        old = open_index(directory)
    except ModelError:
        return None
    return old if old.facts["settings"] == settings else None
