"""The commands of the READMEs run, and the two show the same ones, so that one is enough to run.

Every line of a ```bash block and every ```python block is run in an empty folder that holds two texts under
demo/texts, as `make demo` leaves them, and examples under demo/examples, as `make applications` does. Three
things are replaced, nothing else:

- a time budget becomes `BUDGET`, since the text here is small;
- `make TARGET` is run as `make -n TARGET` at the root of the repository: make must know what to do;
- `wenmo` is the command line of the source under test.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from texts import documents
from wenmo.text import sentences as sentences_of

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.md", "README.zh-CN.md")
BUDGET = "30s"
TEXT_BYTES = 60_000


def blocks(readme):
    """Language and content of each code block."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", (ROOT / readme).read_text("utf-8"), re.MULTILINE | re.DOTALL)


def commands(readme):
    """Lines of the bash blocks."""
    lines = [line for kind, content in blocks(readme) if kind == "bash" for line in content.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def write_examples(folder):
    """Small examples of our own under the names that `make applications` gives to real ones."""
    folder.mkdir()
    sentences = [line for text in documents("zh", 20_000, seed=1) for line in sentences_of(text)]
    marks = {"good": "非常喜欢", "bad": "不值这个价"}
    reviews = [f"{line}{mark},{label}" for line in sentences[:80] for label, mark in marks.items()]
    (folder / "reviews.csv").write_text("\n".join(["text,label", *reviews]) + "\n", "utf-8")
    pairs = [f"{number} new file{'s' * (number > 1)}\t{number} 个新文件" for number in range(1, 300)]
    (folder / "pairs.tsv").write_text("\n".join(["en\tzh", *pairs]) + "\n", "utf-8")
    talk = [{"question": f"第{n}天做什么？", "answer": line} for n, line in enumerate(sentences[:150])]
    rows = {"talk.jsonl": talk, "news.jsonl": [{"text": text} for text in documents("zh", 40_000, seed=2)]}
    for name, content in rows.items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
        (folder / name).write_text(lines, encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    texts = tmp_path / "demo" / "texts"
    texts.mkdir(parents=True)
    for language in ("en", "zh"):
        text = "\n\n".join(documents(language, TEXT_BYTES))
        (texts / f"{language}.txt").write_text(text, encoding="utf-8")
    write_examples(tmp_path / "demo" / "examples")
    programs = tmp_path / "bin"
    programs.mkdir()
    wenmo = programs / "wenmo"
    code = "import sys; from wenmo.cli import main; sys.exit(main())"
    wenmo.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{code}' \"$@\"\n")
    wenmo.chmod(0o755)
    return tmp_path


def run(words, folder, **options):
    """Runs a command as the README's reader would, and returns what it printed."""
    search = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    source = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PATH": search, "PYTHONPATH": source}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=300, **options)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_command_runs(folder):
    readme = READMES[0]
    assert len(commands(readme)) >= 6
    for line in commands(readme):
        if line.startswith("make "):
            assert shutil.which("make"), "make is needed to check the README"
            assert run(["make", "-n", *line.split()[1:]], folder, cwd=ROOT)
            continue
        replaced = re.sub(r"--budget \S+", f"--budget {BUDGET}", line)
        output = run(["bash", "-euo", "pipefail", "-c", replaced], folder, cwd=folder)
        assert output.strip(), line
    codes = [content for kind, content in blocks(readme) if kind == "python"]
    assert codes
    for code in codes:
        replaced = re.sub(r'budget="\w+"', f'budget="{BUDGET}"', code)
        assert run([sys.executable, "-c", replaced], folder, cwd=folder).strip()


def test_both_readmes_show_the_same_steps():
    assert commands(READMES[0]) == commands(READMES[1])

    def codes(readme):
        """Python blocks without their comments."""
        return [re.sub(r"#.*", "", content) for kind, content in blocks(readme) if kind == "python"]

    assert codes(READMES[0]) == codes(READMES[1])
    english, chinese = (blocks(readme) for readme in READMES)
    assert [kind for kind, _ in english] == [kind for kind, _ in chinese]


def test_both_readmes_have_the_same_headings_and_links():
    def outline(readme):
        text = (ROOT / readme).read_text("utf-8")
        levels = [len(marks) for marks in re.findall(r"^(#+) ", text, re.MULTILINE)]
        links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("README")]
        return levels, links

    assert outline(READMES[0]) == outline(READMES[1])


@pytest.mark.parametrize("page", [*READMES, "CONTRIBUTING.md", "docs/how-to.md"])
def test_links_inside_the_repository_lead_somewhere(page):
    path = ROOT / page
    for link in re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8")):
        if not link.startswith("http"):
            assert (path.parent / link).exists(), link
