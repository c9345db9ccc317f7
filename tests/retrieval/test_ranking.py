import numpy as np
import pytest

from wenmo.retrieval import mean_reciprocal_rank, recall_at
from wenmo.retrieval.bm25 import Passage
from wenmo.retrieval.ranking import best_weight, rerank, similarities
from wenmo.retrieval.scores import first_rank

PASSAGES = [
    Passage(number, f"text {number}", "f", 1, 0, score) for number, score in enumerate((10.0, 9.0, 5.0))
]


def test_recall_and_reciprocal_rank():
    ranks = [first_rank([3, 1, 2], {1}), first_rank([3, 1, 2], {9}), first_rank([1], {1})]
    assert ranks == [2, None, 1]
    assert recall_at(1, ranks) == pytest.approx(1 / 3) and recall_at(2, ranks) == pytest.approx(2 / 3)
    assert mean_reciprocal_rank(ranks) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="no question"):
        recall_at(1, [])


def test_weight_nothing_keeps_the_order_and_more_changes_it():
    assert rerank(PASSAGES, [0.0, 1.0, 0.5], 0.0) == PASSAGES
    assert [p.number for p in rerank(PASSAGES, [0.0, 1.0, 0.5], 0.4)] == [1, 0, 2]
    assert rerank(PASSAGES, [0.3, 0.3, 0.3], 5.0) == PASSAGES


def test_vectors_are_used_only_where_they_help():
    helps = [(PASSAGES, [0.0, 1.0, 0.0], {1})] * 3
    weight, scores = best_weight(helps)
    assert weight > 0 and scores[weight] == 1.0 and scores[0.0] == 0.5
    assert best_weight([(PASSAGES, [0.0, 1.0, 0.0], {0})])[0] == 0.0


def test_similarity_is_a_cosine():
    vectors = {"q": [1.0, 0.0], "text 0": [2.0, 0.0], "text 1": [0.0, 3.0], "text 2": [0.0, 0.0]}
    found = similarities(lambda text: np.array(vectors[text], np.float32), "q", PASSAGES)
    assert found == pytest.approx([1.0, 0.0, 0.0])
