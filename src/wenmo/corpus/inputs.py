"""From the paths a user names to the files in them, and from a file to its bytes."""

from __future__ import annotations

import glob
import gzip
import io
import shutil
import sys
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from wenmo.corpus.remote import RemoteFile, find_remote, is_remote, local_path
from wenmo.errors import InputError

KINDS = {
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".markdown": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".html": "html",
    ".htm": "html",
}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}


class _ZstandardFile(io.RawIOBase):
    """A decompressed .zst file that can be read again from the start."""

    def __init__(self, path: Path | RemoteFile) -> None:
        self._path = path
        self._position = 0
        self._reader = self._start()

    def _start(self) -> Any:
        import zstandard

        self._position = 0
        return zstandard.ZstdDecompressor().stream_reader(self._path.open("rb"), read_across_frames=True)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        import zstandard

        try:
            count = int(self._reader.readinto(buffer))
        except zstandard.ZstdError as error:
            raise OSError(f"damaged: {error}") from error
        self._position += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("only positions from the start")
        if offset < self._position:
            self._reader.close()
            self._reader = self._start()
        while self._position < offset and self.readinto(bytearray(min(offset - self._position, 1 << 20))):
            pass
        return self._position

    def close(self) -> None:
        if not self.closed:
            self._reader.close()
        super().close()


@dataclass(frozen=True)
class Source:
    """One readable file: on disk or in an object store, compressed, or a member of a zip archive.

    Attributes:
        path: File on disk or in an object store.
        kind: How documents are found in it: text, html, jsonl, csv, tsv or parquet.
        label: Name shown to the user.
        compression: "", "gzip" or "zstd".
        member: Name inside a zip archive, or "".
        split: The split that all of it belongs to, or "" where the split is drawn.
    """

    path: Path | RemoteFile
    kind: str
    label: str
    compression: str = ""
    member: str = ""
    split: str = ""

    def open(self) -> BinaryIO:
        """Opens the file's bytes, decompressed.

        Raises:
            OSError: When the file cannot be read or is damaged (also while reading).
        """
        if self.member:
            return cast(BinaryIO, zipfile.ZipFile(readable(self.path)).open(self.member))
        if self.compression == "gzip":
            return cast(BinaryIO, gzip.open(readable(self.path), "rb"))
        if self.compression == "zstd":
            return cast(BinaryIO, io.BufferedReader(_ZstandardFile(self.path), 1 << 20))
        return self.path.open("rb")


@dataclass
class Inputs:
    """What was found under the paths.

    Attributes:
        sources: Files to read, in order.
        skipped: Files in folders and archives that are no text, counted by suffix.
        unreadable: Files that could not be opened, with the reason.
    """

    sources: list[Source] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def _kind(name: str) -> tuple[str | None, str]:
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    compression = COMPRESSIONS.get(suffixes[-1], "") if suffixes else ""
    if compression:
        suffixes.pop()
    return (KINDS.get(suffixes[-1]) if suffixes else None), compression


def readable(path: Path | RemoteFile) -> Path | BinaryIO:
    """What libraries that open files by name are given."""
    return path.open("rb") if isinstance(path, RemoteFile) else path


def _add_zip(found: Inputs, path: Path | RemoteFile) -> None:
    try:
        with zipfile.ZipFile(readable(path)) as archive:
            members = sorted(entry.filename for entry in archive.infolist() if not entry.is_dir())
    except (zipfile.BadZipFile, OSError) as error:
        found.unreadable.append((str(path), f"damaged archive: {error}"))
        return
    for member in members:
        kind, compression = _kind(member)
        if kind is None or compression or kind == "parquet" or member.startswith("__MACOSX/"):
            found.skipped[Path(member).suffix.lower() or "(none)"] += 1
        else:
            found.sources.append(Source(path, kind, f"{path}!/{member}", member=member))


def _add_file(found: Inputs, path: Path | RemoteFile, named: bool) -> None:
    if not path.is_file():
        # A pipe or device may never end, and must not even be opened.
        found.unreadable.append((str(path), "no regular file" if path.exists() else "broken link"))
        return
    if path.suffix.lower() == ".zip":
        _add_zip(found, path)
        return
    kind, compression = _kind(path.name)
    if kind is None and not named:
        found.skipped[path.suffix.lower() or "(none)"] += 1
        return
    found.sources.append(Source(path, kind or "text", str(path), compression))


def _walk(folder: Path, found: Inputs) -> None:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        found.unreadable.append((str(folder), error.strerror or str(error)))
        return
    for entry in entries:
        if entry.name.startswith("."):
            found.skipped["(hidden)"] += 1
        elif entry.is_dir():
            if entry.is_symlink():
                found.skipped["(linked folder)"] += 1
            else:
                _walk(entry, found)
        else:
            _add_file(found, entry, named=False)


def find_inputs(paths: Sequence[str | Path], stdin_copy: Path) -> Inputs:
    """Lists the files under files, folders (recursively), glob patterns and `-` (standard input).

    Files, folders and patterns may lie in an object store (`s3://`, `gs://`); another path reaches no network.

    In folders and archives only known suffixes count as text; a file that is named, or matched by a pattern,
    is read as plain text whatever its suffix. A file reached twice is read once.

    Args:
        paths: What the user named.
        stdin_copy: Where standard input is copied to if it is among the paths.

    Raises:
        InputError: When a path does not exist or a pattern matches nothing.
    """
    if not paths:
        raise InputError("no input given; name a file, a folder, a pattern, or - for standard input")
    found = Inputs()
    for name in dict.fromkeys(map(str, paths)):
        if name == "-":
            with stdin_copy.open("wb") as copy:
                shutil.copyfileobj(sys.stdin.buffer, copy, 1 << 20)
            found.sources.append(Source(stdin_copy, "text", "<stdin>"))
            continue
        if is_remote(name):
            files, hidden = find_remote(name)
            if hidden:
                found.skipped["(hidden)"] += hidden
            for file, named in files:
                _add_file(found, file, named)
            continue
        path = Path(local_path(name)).expanduser()
        if path.is_dir():
            _walk(path, found)
        elif path.is_file():
            _add_file(found, path, named=True)
        elif glob.has_magic(str(path)):
            matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207
            if not matches:
                raise InputError(f"no file matches {name}; check the pattern")
            for match in matches:
                if match.is_dir():
                    if "**" not in str(path):
                        _walk(match, found)
                else:
                    _add_file(found, match, named=True)
        elif path.exists():
            raise InputError(f"{name} is neither a file nor a folder; name a file, a folder, or - for stdin")
        else:
            raise InputError(f"{name} does not exist; check the path")
    found.sources = _once(found.sources)
    return found


def _once(sources: Sequence[Source]) -> list[Source]:
    """Each file once, where it comes first."""
    unique = {(str(source.path.resolve()), source.member): source for source in reversed(sources)}
    kept = {id(source) for source in unique.values()}
    return [source for source in sources if id(source) in kept]


def find_split_inputs(
    paths: Sequence[str | Path], held_out: Mapping[str, Sequence[str]], stdin_copy: Path
) -> Inputs:
    """Lists the files under paths and the files of splits that the user names.

    Files held out come first, so that of a text in both the held-out copy is kept and the other one is the duplicate; a
    file that is named as held out, too, belongs there.

    Args:
        paths: What the user named.
        held_out: Split -> paths of its files; the splits in the order in which they keep a text.
        stdin_copy: Where standard input is copied to if it is among the paths.

    Raises:
        InputError: See `find_inputs`; or when held-out text is to come from standard input, or nothing is read from it.
    """
    whole = Inputs()
    for split, named in held_out.items():
        if not named:
            continue
        if "-" in named:
            raise InputError(
                f"--corpus.{split} -: held-out text cannot come from standard input; name a file"
            )
        found = find_inputs(named, stdin_copy)
        if not found.sources and not found.unreadable:
            raise InputError(
                f"--corpus.{split}: no text files under {', '.join(named)}; name some, or leave it out"
            )
        whole.sources += [replace(source, split=split) for source in found.sources]
        whole.skipped += found.skipped
        whole.unreadable += found.unreadable
    rest = find_inputs(paths, stdin_copy)
    return Inputs(
        _once([*whole.sources, *rest.sources]),
        whole.skipped + rest.skipped,
        whole.unreadable + rest.unreadable,
    )
