"""Writes that either happen whole or not at all.

A file or directory is written under a temporary name beside its target and renamed when it is complete, so
that a crash, a full disk or Ctrl-C leaves the old version (or nothing), never half of a new one.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wenmo.errors import ResourceError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """Turns a full disk or a forbidden folder into a sentence.

    Raises:
        ResourceError: When the disk is full or `target` cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise ResourceError(
                f"no space left while writing {target}; free some space and run again"
            ) from error
        if isinstance(error, PermissionError) or error.errno in (errno.EROFS, errno.ENAMETOOLONG):
            raise ResourceError(f"cannot write {target}: {error.strerror}; choose another folder") from error
        raise


@contextmanager
def folder_for(target: Path) -> Iterator[Path]:
    """Creates the folder that `target` will stand in and yields it; what stayed empty goes on an exception.

    Raises:
        ResourceError: When it cannot be created: a file is in the way, the name is too long, nothing can be
            written there.
    """
    folder = Path(target).absolute().parent
    try:
        missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(f"cannot write {target}: {error.strerror}; choose another folder") from error
    try:
        yield folder
    except BaseException:
        with suppress(OSError):
            for parent in missing:
                parent.rmdir()
        raise


@contextmanager
def working_directory(target: Path) -> Iterator[Path]:
    """Yields a temporary directory beside `target` that is removed at the end.

    Raises:
        ResourceError: When none can be made there.
    """
    target = Path(target)
    with folder_for(target) as folder:
        try:
            work = tempfile.TemporaryDirectory(prefix=f".{target.name}.work.", dir=folder)
        except OSError as error:
            with disk_errors(target):
                if error.errno in FULL:
                    raise
            raise ResourceError(f"cannot write {target}: {error.strerror}; choose another folder") from error
        with work as name:
            yield Path(name)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yields a temporary path in `target`'s folder that becomes `target` on success.

    The caller writes the yielded file; on an exception it is removed and `target` stays as it was.

    Raises:
        ResourceError: When the disk is full or the folder is not writable.
    """
    target = Path(target)
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        os.close(descriptor)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o644)
            _sync(temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Writes UTF-8 text to `target` atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(target: Path, data: bytes) -> None:
    """Writes bytes to `target` atomically."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(data)


@contextmanager
def atomic_directory(target: Path) -> Iterator[Path]:
    """Yields an empty temporary directory that replaces `target` on success.

    An existing `target` is moved aside first and removed after the rename; it is restored if that fails.

    Raises:
        ResourceError: When the disk is full or the folder is not writable.
    """
    target = Path(target)
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        temporary.chmod(0o755)
        try:
            yield temporary
            _swap(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _swap(temporary: Path, target: Path) -> None:
    if not target.exists():
        temporary.replace(target)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    old = aside / "old"
    target.replace(old)
    try:
        temporary.replace(target)
    except OSError:
        old.replace(target)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
