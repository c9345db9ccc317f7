"""Real text that packages on PyPI ship, read as data: the packages are never installed or run.

They stay under demo/, which git ignores.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "demo"


def fetch(package: str) -> Path | None:
    """Returns the archive of a package pinned in the extra `demo`, downloaded once; None when it cannot be had."""
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]["demo"]
    requirement = next(pin for pin in pins if pin.startswith(f"{package}=="))
    folder = DEMO / "packages" / requirement
    found = sorted(folder.glob("*")) if folder.is_dir() else []
    if found:
        return found[0]
    print(f"Fetching {requirement} from the package index", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    wheel = package in ("jupyterlab-language-pack-zh-CN", "chatterbot-corpus")
    command += ["--only-binary" if wheel else "--no-binary", ":all:", "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = sorted(folder.glob("*")) if folder.is_dir() else []
    if done.returncode or not found:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"{requirement} could not be fetched: {reason}", file=sys.stderr)
        return None
    return found[0]


def read_members(archive: Path, pattern: str) -> Iterator[tuple[str, str]]:
    """Yields the pattern's first group and the text of the files in an archive whose path matches."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as zipped:
            for name in zipped.namelist():
                if found := re.search(pattern, name):
                    yield found.group(1), zipped.read(name).decode("utf-8")
        return
    with tarfile.open(archive) as packed:
        for member in packed:
            found = re.search(pattern, member.name)
            content = packed.extractfile(member) if found and member.isfile() else None
            if found and content is not None:
                yield found.group(1), content.read().decode("utf-8", errors="strict")
