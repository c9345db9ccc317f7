"""Files in object stores, read as a stream: `s3://`, `gs://`. Nothing here is reached unless a path names one.

Credentials, region and endpoint come from where each store's own programs look for them (for S3 the variables `AWS_…`
or `~/.aws`); `?endpoint_override=HOST:PORT&scheme=http` names another server of the same protocol.
"""

from __future__ import annotations

import fnmatch
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any, BinaryIO, cast
from urllib.parse import quote, unquote, urlsplit

from wenmo.errors import InputError

SCHEMES = ("s3", "gs", "gcs")
READ_AHEAD = 1 << 23
"""Bytes fetched by one request."""
MAGIC = "*["


def is_remote(path: str) -> bool:
    """Whether a path that the user named lies in an object store.

    Raises:
        InputError: When it is a URI of a kind that is not read.
    """
    scheme, found, _ = path.partition("://")
    if not found or not scheme.isalnum():
        return False
    if scheme.lower() not in (*SCHEMES, "file"):
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise InputError(
            f"{path}: {scheme}:// is not read; name a local file or folder, or one under {known}"
        )
    return scheme.lower() != "file"


def local_path(path: str) -> str:
    """Returns the path that a `file://` URI names; others as they are."""
    return unquote(urlsplit(path).path) if path.lower().startswith("file://") else path


@dataclass(frozen=True)
class RemoteFile:
    """A file in an object store; it answers what reading a corpus asks of a `Path`.

    Attributes:
        uri: What the user is shown.
        key: Bucket and path, as the store's client names it.
        size: Bytes.
        mtime_ns: Time of the last change, nanoseconds.
        store: The store's client.
    """

    uri: str
    key: str
    size: int
    mtime_ns: int
    store: Any = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.uri

    @property
    def name(self) -> str:
        """Last part of the path."""
        return PurePosixPath(self.key).name

    @property
    def suffix(self) -> str:
        """Suffix of the name."""
        return PurePosixPath(self.key).suffix

    @property
    def parents(self) -> tuple[()]:
        """No local folder is above it."""
        return ()

    def resolve(self) -> RemoteFile:
        """Returns itself: there are no links."""
        return self

    def is_file(self) -> bool:
        """It was listed as one."""
        return True

    def exists(self) -> bool:
        """It was listed."""
        return True

    def stat(self) -> SimpleNamespace:
        """Returns size and time of the last change as they were listed."""
        return SimpleNamespace(st_size=self.size, st_mtime_ns=self.mtime_ns, st_ctime_ns=0)

    @property
    def fingerprint(self) -> str:
        """Stands for the hash of the content, which would have to be fetched for it: name, size and time."""
        return hashlib.sha256(f"{self.uri}\n{self.size}\n{self.mtime_ns}".encode()).hexdigest()

    def open(self, mode: str = "rb") -> BinaryIO:
        """Opens the file for reading; it is fetched in pieces as they are read.

        Raises:
            OSError: When it cannot be read (also while reading).
        """
        return cast(BinaryIO, io.BufferedReader(self.store.open_input_file(self.key), READ_AHEAD))


def find_remote(path: str) -> tuple[list[tuple[RemoteFile, bool]], int]:
    """Lists what a URI names: a file, a folder (recursively), or a pattern with `*` or `[…]`.

    As on disk, `*` stays within a folder and `**` does not, a folder that a pattern matches is read with all that is
    below it, and what is hidden (a name that begins with a dot) is left out of folders and patterns, not where it is
    named or lies above what is named. `#` stands for itself.

    Returns:
        The files in order, each with whether it was named or matched itself rather than found in a folder; and how many
        hidden files of a folder were left out.

    Raises:
        InputError: When there is nothing, or the store cannot be asked.
    """
    import pyarrow as pa
    from pyarrow import fs

    parts = urlsplit(path, allow_fragments=False)
    if "@" in parts.netloc:
        raise InputError(
            f"{parts.scheme}://…@{parts.netloc.split('@')[-1]}{parts.path}: a path is written into the model's folder; "
            "give the credentials in the environment instead"
        )
    label = f"{parts.scheme}://{parts.netloc}{parts.path}"
    magic = [part for part in PurePosixPath(parts.path).parts if any(mark in part for mark in MAGIC)]
    fixed = parts.path.split(magic[0])[0] if magic else parts.path
    try:
        store, key = fs.FileSystem.from_uri(parts._replace(path=quote(fixed, safe="/%")).geturl())
        info = store.get_file_info(key.rstrip("/"))
        if info.type == fs.FileType.File:
            found = [info]
        elif info.type == fs.FileType.Directory:
            found = store.get_file_info(fs.FileSelector(key.rstrip("/"), recursive=True))
        else:
            raise InputError(f"{label} does not exist; check the path")
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{label} cannot be read: {str(error).splitlines()[0]}") from error
    listed = sorted(_files(found, parts.scheme, store, fs), key=lambda file: file.key)
    if info.type == fs.FileType.File:
        return [(file, True) for file in listed], 0
    files = [file for file in listed if not _hidden(file, key)]
    if not magic:
        return [(file, False) for file in files], len(listed) - len(files)
    pattern = PurePosixPath(parts.netloc + parts.path).parts
    matched = [
        (file, how) for file in files if (how := _matched(PurePosixPath(file.key).parts, pattern)) is not None
    ]
    if not matched:
        raise InputError(f"no file matches {label}; check the pattern")
    return matched, 0


def _matched(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool | None:
    """Whether a pattern matches a file itself (True), a folder above it (False), or neither (None)."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        if any(_matched(path[start:], pattern[1:]) for start in range(len(path) + 1)):
            return True
        return None
    if not path or not fnmatch.fnmatchcase(path[0], pattern[0]):
        return None
    return _matched(path[1:], pattern[1:])


def _files(found: list[Any], scheme: str, store: Any, fs: Any) -> Iterator[RemoteFile]:
    for info in found:
        if info.type == fs.FileType.File:
            yield RemoteFile(f"{scheme}://{info.path}", info.path, info.size, info.mtime_ns or 0, store)


def _hidden(file: RemoteFile, above: str) -> bool:
    """Whether a part of its path below a folder begins with a dot."""
    return any(part.startswith(".") for part in PurePosixPath(file.key).relative_to(above).parts)
