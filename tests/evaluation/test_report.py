import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from wenmo.evaluation.diversity import measure_diversity
from wenmo.evaluation.report import ReportData, Sample, headline, render, write_report

ROWS = [
    {"step": i, "seconds": 10.0 * i, "tokens": i, "train_bpb": 3 - i / 9, "valid_bpb": 3.1 - i / 10}
    for i in range(1, 9)
]


def data(**changes: Any) -> ReportData:
    fields: dict[str, Any] = {
        "title": "红楼梦 & friends",
        "seconds": 58.0,
        "budget": 60.0,
        "bits_per_byte": 1.9,
        "protocol": "prequential, windows of 256 tokens, stride 128",
        "bytes": 123456,
        "members": {"transformer": 2.2, "ngram": 2.0},
        "weights": {"transformer": 0.25, "ngram": 0.75},
        "baselines": {"ppmd": 2.0, "xz": 2.5, "ngram": 1.95},
        "curves": {"transformer": ROWS},
        "corpus": {"Training text": 4567890},
        "recipe": {
            "architecture": "mixture",
            "training": {"lr": 0.001, "steps": None},
            "members": ("a", "b"),
        },
        "samples": [
            Sample(text="贾母<i>笑道，这孩子真可笑", longest_copy=12),
            Sample(prompt="The river ", text="was high."),
        ],
        "notes": ["Four layers."],
        "machine": {"Cores": 2},
        "versions": {"wenmo": "0.1.0"},
    }
    return ReportData(**{**fields, **changes})


class Balanced(HTMLParser):
    """Checks that every element is closed where it must be."""

    VOID = frozenset({"meta", "br", "hr", "img", "input", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.outside += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_one_file_that_needs_nothing_else() -> None:
    page = render(data())
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert parser.outside == []
    assert "http" not in page
    assert "@import" not in page and "<script" not in page


def test_samples_are_escaped_and_have_their_language() -> None:
    page = render(data())
    assert '<div class="sample" lang="zh"><b></b>贾母&lt;i&gt;笑道，这孩子真可笑</div>' in page
    assert '<div class="sample" lang="en"><b>The river </b>was high.</div>' in page
    assert "12 characters" in page
    assert "红楼梦 &amp; friends" in page


def test_bars_are_sorted_and_all_there() -> None:
    page = render(data())
    values = [float(v) for v in re.findall(r'<span class="value">([\d.]+)</span>', page)]
    assert values == sorted(values) == [1.9, 1.95, 2.0, 2.0, 2.2, 2.5]
    assert "transformer 25 %" in page
    single = render(data(members={"lstm": 1.9}, weights={}))
    assert len(re.findall(r'class="value"', single)) == 4


def test_rivals_that_have_not_read_everything_are_named() -> None:
    assert "The rivals read the same training text first.<" in render(data())
    page = render(data(unread=["xz has read only the last 100 B of the 600 B to learn from"]))
    assert "training text first; xz has read only the last 100 B of the 600 B to learn from.<" in page


def test_recipe_and_facts() -> None:
    page = render(data())
    assert '<tr><th scope="row">training.lr</th><td>0.001</td></tr>' in page
    assert "training.steps" not in page
    assert "4,567,890" in page
    assert "still falling" in page


@pytest.mark.parametrize(
    ("score", "words"),
    [(1.9, "needs 1.950, 2.6% more"), (1.95, "needs as many"), (2.1, "needs only 1.950, 7.1% less")],
)
def test_headline(score: float, words: str) -> None:
    assert words in headline(data(bits_per_byte=score))


def test_a_mixture_is_advised_where_the_ngram_model_is_better_and_no_member() -> None:
    alone = data(bits_per_byte=2.1, baselines={"ngram": 1.9, "ppmd": 2.0}, members={"gru": 2.1})
    assert "less: a mixture with it, more time or more text would help" in headline(alone)
    mixed = data(bits_per_byte=2.1, baselines={"ngram": 1.9}, members={"gru": 2.3, "ngram": 2.2})
    assert "less: more time or more text would help" in headline(mixed)


def test_least_data(tmp_path: Path) -> None:
    least = ReportData(title="m", seconds=1, bits_per_byte=2.0, protocol="static", bytes=10)
    path = write_report(least, tmp_path / "report.html")
    parser = Balanced()
    parser.feed(path.read_text(encoding="utf-8"))
    assert parser.open == []
    assert "rivals" not in path.read_text(encoding="utf-8")
    one = render(data(curves={"lstm": ROWS[:1]}))
    assert "<svg" not in one and "too few" in one


def test_a_model_that_repeats_itself_is_told_about() -> None:
    chant, human = measure_diversity(["和人民" * 20]), measure_diversity(["今年经济增长较快，物价平稳。"])
    assert "It repeats itself" in render(data(diversity=chant, human_diversity=human))
    assert "It repeats itself" not in render(data(diversity=human, human_diversity=human))
