import numpy as np
import pytest

from wenmo.distillation.counting import BLOCK, folds_of, foretell_fold, select
from wenmo.distillation.targets import Targets
from wenmo.models.ngram import NgramConfig


def test_everything_is_read_when_there_is_time():
    selection = select(10 * BLOCK + 7, 1, 1e9, 1e9, 4, 0)
    assert selection.counted_tokens == selection.taught_tokens == 10 * BLOCK + 7
    assert list(selection.counted) == sorted(selection.counted)


def test_several_documents_are_read_in_an_order_of_the_seed():
    first, same, other = (select(20 * BLOCK, 3, 1e9, 1e9, 4, seed) for seed in (1, 1, 2))
    assert first == same != other
    assert sorted(first.counted) == sorted(other.counted) != list(first.counted)


def test_a_part_is_taken_from_all_over_the_text():
    selection = select(100 * BLOCK, 1, 50 * BLOCK, 10 * BLOCK, 4, 0)
    assert len(selection.counted) == 50 and len(selection.taught) == 10
    assert selection.taught <= set(selection.counted)
    starts = sorted(start for start, _ in selection.taught)
    assert starts[0] < 10 * BLOCK and starts[-1] > 85 * BLOCK


@pytest.mark.parametrize("folds", [2, 3, 64])
def test_every_block_is_foretold_once_and_not_counted_before(folds):
    selection = select(11 * BLOCK, 1, 1e9, 1e9, folds, 0)
    foretold = []
    for counted, fold in folds_of(selection, folds):
        assert sorted(counted + fold) == sorted(selection.counted)
        foretold += fold
        if fold[0] != selection.counted[0]:
            assert counted[-1][1] == fold[0][0]  # what stands before it is the newest
    assert sorted(foretold) == sorted(selection.counted)


def test_a_short_text_is_cut_finer():
    selection = select(1000, 1, 1e9, 1e9, 3, 0)
    assert len(selection.counted) >= 12 and selection.taught_tokens == 1000
    assert [len(fold) > 2 for _, fold in folds_of(selection, 3)] == [True] * 3


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_token_is_known_before_it_is_foretold(
    language, tiny_tokenizers, english_documents, chinese_documents, tmp_path
):
    """A token changes what is expected after it, and in other folds, but never what is expected of itself."""
    tokenizer = tiny_tokenizers["bpe"]
    documents = english_documents if language == "en" else chinese_documents
    ids = np.concatenate([np.append(tokenizer.encode(text), 0) for text in documents])[:900].astype(np.int64)
    blocks = [(0, 300), (300, 600), (600, 900)]
    config = NgramConfig(vocab_size=tokenizer.vocab_size, slot_bits=16)

    def foretold(name, stream):
        targets = Targets.create(tmp_path / name, len(stream), tokenizer.vocab_size, places=12)
        known = np.zeros(len(stream), np.uint8)
        for number, block in enumerate(blocks):
            counted = blocks[number + 1 :] + blocks[:number]
            foretell_fold(
                config, stream, tokenizer.token_bytes, counted, [block], frozenset(blocks), targets, known, 0
            )
        assert known.max() > 3
        return targets.of(np.arange(len(stream)))

    changed = ids.copy()
    place = 450
    changed[place] = 1 if ids[place] != 1 else 2
    (top, probabilities), (other, others) = foretold("a", ids), foretold("b", changed)
    assert np.array_equal(top[300 : place + 1], other[300 : place + 1])
    assert np.array_equal(probabilities[300 : place + 1], others[300 : place + 1])
    assert not np.array_equal(probabilities[place + 1 : 600], others[place + 1 : 600])
    assert not np.array_equal(probabilities[:300], others[:300])


def test_only_what_is_wanted_is_foretold(tiny_tokenizers, english_documents, tmp_path):
    tokenizer = tiny_tokenizers["bpe"]
    ids = np.concatenate([np.append(tokenizer.encode(text), 0) for text in english_documents])[:600]
    targets = Targets.create(tmp_path / "t", 600, tokenizer.vocab_size, places=4)
    foretell_fold(
        NgramConfig(vocab_size=tokenizer.vocab_size), ids, tokenizer.token_bytes, [], [(0, 300), (300, 600)],
        frozenset({(300, 600)}), targets, np.zeros(600, np.uint8), 0,
    )  # fmt: skip
    _, probabilities = targets.of(np.arange(600))
    assert not probabilities[:300].any() and np.all(probabilities[300:, 0] > 0)
