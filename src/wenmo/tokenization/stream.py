"""A split as token ids on disk: memory-mapped, each document followed by eos."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wenmo.errors import InputError
from wenmo.files import atomic_directory
from wenmo.progress import track

from .tokenizer import Tokenizer

VERSION = 1
BATCH_BYTES = 4_000_000
"""Text encoded at a time: enough to keep all cores busy, little enough for memory to stay flat."""

Part = tuple[str, bool]
"""A stretch of a document, and whether the document ends with it."""


@dataclass(frozen=True)
class TokenStream:
    """The ids of a split.

    Attributes:
        ids: Memory-mapped ids (N,), uint16 or uint32: the documents in order, each followed by eos.
        offsets: Memory-mapped: where each document begins and the last one ends, int64 (documents + 1,), eos included.
        num_bytes: UTF-8 bytes of the text; eos counts nothing.
        tokenizer_fingerprint: `Tokenizer.fingerprint` of the tokenizer that made it.
        corpus_fingerprint: Of the corpus it was made from; empty when it was made from loose texts.
    """

    ids: npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
    offsets: npt.NDArray[np.int64]
    num_bytes: int
    tokenizer_fingerprint: str
    corpus_fingerprint: str = ""

    @property
    def num_documents(self) -> int:
        """Number of documents."""
        return len(self.offsets) - 1

    def __len__(self) -> int:
        """Number of tokens, eos included."""
        return len(self.ids)

    @classmethod
    def build(
        cls,
        tokenizer: Tokenizer,
        texts: Iterable[str | Part],
        path: Path,
        *,
        corpus_fingerprint: str = "",
        total_bytes: int | None = None,
        progress: bool = True,
    ) -> TokenStream:
        """Encodes documents into the folder `path`, which appears whole or not at all.

        Args:
            tokenizer: Encodes the texts, on all cores.
            texts: Whole documents, or parts of them with a mark at the end of each document; a token never
                crosses the border between two parts.
            path: Folder to write; an existing one is replaced.
            corpus_fingerprint: Kept to recognise a stream whose corpus has changed.
            total_bytes: UTF-8 bytes of all texts, for the time left on the progress line.
            progress: Show a progress line on stderr.

        Raises:
            ResourceError: When the disk is full or the folder is not writable.
            InputError: When a text holds half of a surrogate pair, or the last document has no end.
        """
        path = Path(path)
        dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32
        eos = np.array([tokenizer.eos_id], dtype)
        offsets, position, num_bytes, ended = array("q", [0]), 0, 0, True
        with atomic_directory(path) as folder, track("tokenizing", total_bytes, "B", progress) as bar:
            with (folder / "ids.bin").open("wb") as file:
                for batch, size in _batches(texts):
                    pieces = []
                    encoded = tokenizer.encode_batch([text for text, _ in batch])
                    for ids, (_, ended) in zip(encoded, batch, strict=True):
                        pieces.append(ids.astype(dtype))
                        position += len(ids)
                        if ended:
                            pieces.append(eos)
                            position += 1
                            offsets.append(position)
                    file.write(np.concatenate(pieces).tobytes())
                    num_bytes += size
                    bar.advance(size)
            if not ended:
                raise InputError(f"the last document of {path.name} has no end; prepare the corpus again")
            np.save(folder / "offsets.npy", np.frombuffer(offsets, np.int64), allow_pickle=False)
            facts = {
                "version": VERSION,
                "dtype": np.dtype(dtype).name,
                "tokens": position,
                "documents": len(offsets) - 1,
                "num_bytes": num_bytes,
                "tokenizer": tokenizer.fingerprint,
                "corpus": corpus_fingerprint,
            }
            (folder / "stream.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        return cls.open(path)

    @classmethod
    def open(
        cls, path: Path, *, tokenizer: Tokenizer | None = None, corpus_fingerprint: str | None = None
    ) -> TokenStream:
        """Opens what `build` wrote; the ids stay on disk.

        Args:
            path: The folder.
            tokenizer: When given, a stream made by another tokenizer is refused.
            corpus_fingerprint: When given, a stream of another corpus, or an older state of it, is refused.

        Raises:
            InputError: When the folder is missing, truncated, of another version, or stale.
        """
        path = Path(path)
        try:
            facts = json.loads((path / "stream.json").read_text(encoding="utf-8"))
            if facts["version"] != VERSION:
                raise InputError(f"{path} is of version {facts['version']}, not {VERSION}; tokenize again")
            dtype = np.dtype(facts["dtype"])
            offsets = np.load(path / "offsets.npy", mmap_mode="r", allow_pickle=False)
            size = (path / "ids.bin").stat().st_size
        except FileNotFoundError as error:
            raise InputError(f"{error.filename} is missing; tokenize the corpus again") from error
        except (ValueError, KeyError, TypeError, EOFError, OSError) as error:
            raise InputError(f"{path} is damaged ({error}); tokenize the corpus again") from error
        tokens = facts["tokens"]
        if size != tokens * dtype.itemsize or len(offsets) != facts["documents"] + 1 or offsets[-1] != tokens:
            raise InputError(f"{path} is truncated; tokenize the corpus again")
        if tokenizer is not None and facts["tokenizer"] != tokenizer.fingerprint:
            raise InputError(f"{path} was made by another tokenizer; tokenize the corpus again")
        if corpus_fingerprint is not None and facts["corpus"] != corpus_fingerprint:
            raise InputError(f"{path} was made from another text; tokenize the corpus again")
        # An empty file cannot be mapped.
        ids = np.memmap(path / "ids.bin", dtype, "r") if tokens else np.empty(0, dtype)
        return cls(ids, offsets, facts["num_bytes"], facts["tokenizer"], facts["corpus"])


def _batches(texts: Iterable[str | Part]) -> Iterator[tuple[list[Part], int]]:
    batch: list[Part] = []
    size = 0
    for item in texts:
        text, ended = (item, True) if isinstance(item, str) else item
        batch.append((text, ended))
        size += len(text.encode("utf-8", "replace"))
        if size >= BATCH_BYTES:
            yield batch, size
            batch, size = [], 0
    if batch:
        yield batch, size


def stretches(
    ids: npt.NDArray[np.unsignedinteger[Any]], count: int, most: int = 16
) -> list[npt.NDArray[np.unsignedinteger[Any]]]:
    """Takes about `count` tokens from all over a stream: stretches of equal length at equal distances.

    A part from one end would speak for one document, one language, one chapter.

    Args:
        ids: The stream (N,).
        count: How many tokens to take; all of them are one stretch.
        most: How many stretches there may be.
    """
    if count >= len(ids):
        return [np.asarray(ids)]
    length = max(count // most, 1)
    starts = np.linspace(0, len(ids) - length, min(most, count)).astype(np.int64)
    return [ids[start : start + length] for start in starts]


def spread(
    ids: npt.NDArray[np.unsignedinteger[Any]], count: int, most: int = 16
) -> npt.NDArray[np.unsignedinteger[Any]]:
    """The stretches of `stretches`, one after the other."""
    return np.concatenate(stretches(ids, count, most))


def shuffled(
    ids: npt.NDArray[np.unsignedinteger[Any]], seed: int, block: int = 4096
) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Puts blocks of a stream into random order, a pure function of the seed.

    For what learns in one pass and trusts the newest text most: a corpus is not to end with one of its languages.
    """
    starts = np.random.default_rng(seed).permutation(np.arange(0, len(ids), block))
    return np.concatenate([ids[start : start + block] for start in starts]) if len(ids) else np.asarray(ids)
