import json

import bm25s
import numpy as np
import pytest

from wenmo.errors import ModelError
from wenmo.retrieval import open_index
from wenmo.retrieval.bm25 import ARRAYS
from wenmo.retrieval.building import index_texts, write_index
from wenmo.retrieval.terms import terms

TEXTS = [
    "北京是中国的首都，人口两千多万。",
    "上海是中国最大的城市，位于长江口。",
    "The cat sat on the mat while the dog was running.",
    "Dogs run faster than cats, and running dogs bark.",
    "長江發源於青海，流經上海入海。",
    "",
]


def test_terms_of_both_languages():
    assert {"北京", "首都", "北", "京", "北京₂"} <= set(terms("北京的首都"))
    assert "的" not in terms("北京的首都")
    assert terms("The cats were running in 1990") == ["cat", "run", "1990"]
    assert terms("什麼是歷史") == terms("什么是历史")
    assert terms("，。!?  ") == []


@pytest.mark.parametrize("question", ["长江流经哪里", "running dogs", "中国最大的城市", "北京 cats"])
def test_scores_are_those_of_bm25s(question):
    index = index_texts(TEXTS)
    peer = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    peer.index([terms(text) for text in TEXTS], show_progress=False)
    asked = [term for term in dict.fromkeys(terms(question)) if term in peer.vocab_dict]
    # "lucene" leaves out the constant factor k1 + 1, which changes no order.
    wanted = peer.get_scores(asked) * 2.2
    np.testing.assert_allclose(index.scores(asked), wanted, rtol=1e-4, atol=1e-5)


def test_search_finds_across_scripts_and_inflections():
    index = index_texts(TEXTS)
    assert index.search("中國最大的城市", 1)[0].text == TEXTS[1]
    assert index.search("青海長江", 1)[0].text == TEXTS[4]
    assert index.search("a cat", 2)[0].number in (2, 3)
    assert index.search("完全无关紧要zebra", 3) == []
    assert index.search("", 3) == []
    scores = [passage.score for passage in index.search("中国上海", 5)]
    assert scores == sorted(scores, reverse=True) and min(scores) > 0


def test_equal_scores_go_by_number():
    index = index_texts(["cat one", "cat two", "cat six", "dog one"])
    assert [passage.number for passage in index.search("cat", 2)] == [0, 1]


def test_an_index_on_disk_is_the_same(tmp_path):
    index = index_texts(TEXTS)
    write_index(index, tmp_path / "index")
    opened = open_index(tmp_path / "index")
    assert opened.search("长江上海", 4) == index.search("长江上海", 4)
    assert opened.han_share == index.han_share
    for name in ARRAYS:
        assert not (tmp_path / "index" / f"{name}.npy").read_bytes().startswith(b"\x80")
        assert isinstance(opened.arrays[name], np.memmap)


@pytest.mark.parametrize("name", ["index.json", "terms.json", "texts.utf8", "places.npy", "post_counts.npy"])
def test_a_damaged_index_is_refused(tmp_path, name):
    write_index(index_texts(TEXTS), tmp_path / "index")
    path = tmp_path / "index" / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ModelError, match="delete it"):
        open_index(tmp_path / "index")


def test_another_version_is_refused(tmp_path):
    write_index(index_texts(TEXTS), tmp_path / "index")
    path = tmp_path / "index" / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"format_version": 99}), "utf-8")
    with pytest.raises(ModelError, match="99"):
        open_index(tmp_path / "index")
