from collections import Counter as Counts

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

import wenmo.classification.features as features
from reviews import reviews
from wenmo.classification.features import Counter, NgramSettings, lookup, matrix
from wenmo.classification.units import characters, units


def counted(texts, settings, min_texts=1):
    counter = Counter(settings)
    chunks = counter.read(texts)
    table = counter.table(chunks, min_texts)
    return table, matrix(chunks, table)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("min_texts", [1, 2])
def test_word_ngrams_are_those_of_scikit_learn(language, min_texts):
    texts = [text for text, _ in reviews(language, 40)] + ["", "！"]
    table, x = counted(texts, NgramSettings(words=3), min_texts)
    reference = CountVectorizer(analyzer=lambda t: grams(units(t)[0], 3), min_df=min_texts).fit_transform(
        texts
    )
    assert x.shape == (len(texts), len(table)) == reference.shape
    assert sorted(map(tuple, x.T.toarray())) == sorted(map(tuple, reference.T.toarray()))


def test_character_ngrams_do_not_cross_texts_and_ignore_spaces():
    table, x = counted(["好 吃", "吃好", "好吃"], NgramSettings(words=0, characters=2))
    assert len(table) == 4  # 好, 吃, 好吃, 吃好
    assert (x[0] != x[2]).nnz == 0 and (x[0] != x[1]).nnz == 2


def grams(names, longest):
    return [tuple(names[i : i + n]) for n in range(1, longest + 1) for i in range(len(names) - n + 1)]


def test_words_and_characters_have_keys_of_their_own():
    both, _ = counted(["好"], NgramSettings(words=1, characters=1))
    assert len(both) == 2 and both.max() < 1 << 48


def test_counts_do_not_depend_on_the_chunks(monkeypatch):
    texts = [text for text, _ in reviews("en", 30)]
    settings = NgramSettings(words=2, characters=3)
    table, x = counted(texts, settings)
    monkeypatch.setattr(features, "_CHUNK_CHARS", 100)
    small_table, small = counted(texts, settings)
    assert (table == small_table).all() and (x != small).nnz == 0


def test_the_rarest_ngrams_go_first():
    table, _ = counted(["a b", "a c", "a d"], NgramSettings(words=1, most=1))
    full, x = counted(["a b", "a c", "a d"], NgramSettings(words=1))
    assert len(table) == 1 and lookup(table, full)[0] == int(np.argmax(x.sum(axis=0)))


def test_lookup_of_unknown_keys():
    table = np.array([3, 7], np.uint64)
    assert lookup(np.array([3, 4, 7, 9], np.uint64), table).tolist() == [0, -1, 1, -1]
    assert lookup(np.array([3], np.uint64), np.zeros(0, np.uint64)).tolist() == [-1]


def test_character_counts_are_right():
    text = "不好不好吃"
    _, x = counted([text], NgramSettings(words=0, characters=3))
    expected = Counts(grams([chr(c) for c in characters(text)[0]], 3))
    assert sorted(x.data.astype(int)) == sorted(expected.values())


def test_many_ngrams_are_read_again_instead_of_kept(monkeypatch):
    texts = [text for text, _ in reviews("zh", 20)]
    settings = NgramSettings(words=2, characters=3)
    table, x = counted(texts, settings)
    monkeypatch.setattr(features, "_KEPT_NGRAMS", 50)
    again_table, again = counted(texts, settings)
    assert (table == again_table).all() and (x != again).nnz == 0
    chunks = Counter(settings).read(texts)
    assert [size for *_, size in chunks] == [size for *_, size in chunks] == [20]
