"""The compiled loops learn the merges that the library learns."""

import json
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import trainers

from wenmo import progress
from wenmo.progress import Progress
from wenmo.tokenization import learning
from wenmo.tokenization.backend import END_OF_TEXT, assemble
from wenmo.tokenization.learning import learn
from wenmo.tokenization.pieces import Pieces
from wenmo.tokenization.pretokenization import byte_alphabet


def by_the_library(texts: list[str], vocab_size: int, longest: int) -> list[list[int]]:
    backend = assemble("bpe")
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, min_frequency=2, special_tokens=[END_OF_TEXT, *byte_alphabet()],
        max_token_length=longest + 1, show_progress=False,
    )  # fmt: skip  # to the library a token is shorter than its bound
    backend.train_from_iterator(texts, trainer)
    model = json.loads(backend.to_str())["model"]
    ids = model["vocab"]
    return [[ids[left], ids[right], ids[left + right]] for left, right in model["merges"]]


def ours(texts: list[str], vocab_size: int, longest: int) -> list[list[int]]:
    return learn(Pieces.of(texts), list(range(1, 257)), vocab_size, longest).tolist()


@pytest.mark.parametrize(("vocab_size", "longest"), [(300, 24), (2_000, 24), (600, 5)])
def test_real_text(texts: list[str], vocab_size: int, longest: int) -> None:
    assert ours(texts, vocab_size, longest) == by_the_library(texts, vocab_size, longest)


words = st.text(st.sampled_from("aab"), min_size=1, max_size=12)


@settings(max_examples=200)
@given(st.lists(words, min_size=1, max_size=30))
@example(["aaaa", "aaa", "aaaaa", "aa"])
@example(["江江江水 水江江江江 江水水水"])
def test_rows_of_equal_tokens(lines: list[str]) -> None:
    """A pair of equal tokens overlaps itself."""
    assert ours(lines, 270, 24) == by_the_library(lines, 270, 24)


def test_counts_rise_with_nothing() -> None:
    assert ours([], 300, 24) == ours([""], 300, 24) == ours(["a b c"], 300, 24) == []
    assert ours(["ab"], 300, 24) == []
    assert ours(["ab ab"], 300, 24) == [[98, 99, 257]]
    assert ours(["ab", "ab", "a\ud800b"], 300, 24) == [[98, 99, 257]]


def test_more_tokens_than_16_bits_tell() -> None:
    rng = np.random.default_rng(1)
    letters = np.array([*map(chr, range(0x4E00, 0x9FA5))])
    lines = ["".join(line) for line in rng.choice(letters, (4_200, 12))] * 2
    found = ours(lines, 68_000, 24)
    assert found == by_the_library(lines, 68_000, 24)
    assert found[-1][2] > 1 << 16 < max(left for left, _, _ in found)


def test_many_different_pairs_make_the_table_grow() -> None:
    rng = np.random.default_rng(0)
    text = "".join(map(chr, rng.integers(0x4E00, 0x9FA5, 60_000)))
    texts = [text[start : start + 9] for start in range(0, len(text), 9)] * 2
    assert ours(texts, 3_000, 24) == by_the_library(texts, 3_000, 24)


def test_ctrl_c_ends_it_between_two_merges(texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ends = []

    def interrupted(work: Callable[[], int], state: npt.NDArray[np.int64], bar: Progress) -> int:
        state[1] = 1
        ends.append(work())
        raise KeyboardInterrupt

    monkeypatch.setattr(learning, "follow", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ours(texts, 2_000, 24)
    assert ends == [0]


def test_how_far_it_is(
    texts: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The places that are looked at are told, and are about as many as is expected."""
    told = []

    def followed(work: Callable[[], int], state: npt.NDArray[np.int64], bar: Progress) -> int:
        found = work()
        told.append(state[0] / bar.total)
        return found

    monkeypatch.setattr(learning, "follow", followed)
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(progress, "PLAIN_INTERVAL", 0.0)
    learn(Pieces.of(texts), list(range(1, 257)), 1_000, 24, progress=True)
    assert 0.5 < told[0] < 1.25
    assert "learning tokens  100%" in capsys.readouterr().err
