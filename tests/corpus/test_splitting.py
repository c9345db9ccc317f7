import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenmo.config import CorpusSettings
from wenmo.corpus.splitting import CUT, assign, check_settings, cut_position
from wenmo.errors import InputError, OptionError


def digests(number, start=0):
    return np.random.default_rng(start).integers(0, 2**63, number, dtype=np.uint64)


def test_shares_by_bytes_hold():
    sizes = np.random.default_rng(1).integers(100, 2000, 5000)
    result = assign(
        sizes, digests(5000), int(sizes.sum()), CorpusSettings(valid_fraction=0.1, test_fraction=0.03)
    )
    assert abs(sizes[result == 1].sum() / sizes.sum() - 0.1) < 0.001
    assert abs(sizes[result == 2].sum() / sizes.sum() - 0.03) < 0.001


def test_documents_mostly_keep_their_side_when_others_come():
    sizes = np.full(2000, 500)
    hashes = digests(2000)
    before = assign(sizes[:1900], hashes[:1900], 10**6, CorpusSettings())
    after = assign(sizes, hashes, 10**6, CorpusSettings())
    assert (before == after[:1900]).mean() > 0.98


def test_seed_changes_the_split():
    sizes = np.full(500, 500)
    one = assign(sizes, digests(500), 10**6, CorpusSettings(seed=1))
    two = assign(sizes, digests(500), 10**6, CorpusSettings(seed=2))
    assert (one != two).any()


@pytest.mark.parametrize("sizes", [[50_000], [900_000, 700_000, 800_000], [300, 300]])
def test_few_or_long_documents_are_cut(sizes):
    assert (assign(np.array(sizes), digests(len(sizes)), sum(sizes), CorpusSettings()) == CUT).all()


def test_a_novel_among_notes_is_cut_alone():
    sizes = np.array([2_000_000] + [3_000] * 60)
    result = assign(sizes, digests(61), 10**6, CorpusSettings())
    assert result[0] == CUT and not (result[1:] == CUT).any()


@given(st.lists(st.integers(1, 100_000), min_size=3, max_size=60), st.integers(0, 5))
@settings(deadline=None)
def test_every_part_gets_something(sizes, seed):
    result = assign(np.array(sizes), digests(len(sizes)), 10**6, CorpusSettings(seed=seed))
    if not (result == CUT).any():
        assert set(result.tolist()) == {0, 1, 2}


def test_too_little_text_is_refused_with_numbers():
    with pytest.raises(InputError, match=r"150 characters.*200"):
        assign(np.array([150]), digests(1), 150, CorpusSettings())
    assert assign(
        np.array([5]), digests(1), 5, CorpusSettings(valid_fraction=0, test_fraction=0)
    ).tolist() == [0]


def test_shares_must_leave_something():
    with pytest.raises(OptionError, match="valid-fraction"):
        check_settings(CorpusSettings(valid_fraction=0.6, test_fraction=0.5))


def test_cuts_prefer_paragraphs_then_lines_then_sentences():
    assert cut_position("a" * 50 + "。\n" + "b" * 20 + "\n\n" + "c" * 50, 60, 30) == 74
    assert cut_position("a" * 50 + "\n" + "b。" * 20, 60, 30) == 51
    assert cut_position("天" * 50 + "。" + "地" * 40, 60, 30) == 51
    assert cut_position("天" * 100, 60, 30) == 60


@given(st.text(st.sampled_from("ab中。\n ,."), max_size=80), st.integers(-5, 90), st.integers(1, 40))
def test_cuts_stay_inside(text, target, window):
    assert 0 <= cut_position(text, target, window) <= len(text)
