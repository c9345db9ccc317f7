import numpy as np
import pytest
from scipy.optimize import nnls
from scipy.sparse import csr_matrix
from sklearn.decomposition import LatentDirichletAllocation

from wenmo.semantics.factors import fit, weights
from wenmo.semantics.vectors import Vocabulary


def test_weights_of_nmf_are_the_least_squares(words):
    vocabulary = Vocabulary.of(words)
    matrix = vocabulary.tfidf(words)
    components = fit("nmf", matrix, 3, 0)
    found = weights("nmf", matrix, components)
    expected = [nnls(components.T, row)[0] for row in np.asarray(matrix.todense())]
    assert found == pytest.approx(np.array(expected), abs=1e-6)
    assert np.linalg.norm(components, axis=1) == pytest.approx([1, 1, 1])


def test_weights_of_lda_are_those_of_scikit_learn(words):
    vocabulary = Vocabulary.of(words)
    matrix = vocabulary.counts(words)
    components = fit("lda", matrix, 3, 0)
    assert components.sum(1) == pytest.approx([1, 1, 1])
    peer = LatentDirichletAllocation(
        3, doc_topic_prior=1 / 3, max_doc_update_iter=60, mean_change_tol=0, random_state=0
    )
    peer.fit(matrix)
    peer.components_ = components
    peer.exp_dirichlet_component_ = components
    found = weights("lda", matrix, components) + 1 / 3
    assert found / found.sum(1, keepdims=True) == pytest.approx(peer.transform(matrix), abs=1e-6)


@pytest.mark.parametrize("method", ["nmf", "lda"])
def test_each_document_is_treated_alone(method, words):
    vocabulary = Vocabulary.of(words)
    matrix = vocabulary.tfidf(words) if method == "nmf" else vocabulary.counts(words)
    components = fit(method, matrix, 3, 0)
    together = weights(method, matrix, components)
    alone = np.vstack([weights(method, matrix[i], components) for i in range(matrix.shape[0])])
    assert alone == pytest.approx(together, abs=1e-12)
    again = fit(method, matrix, 3, 0)
    assert again == pytest.approx(components, rel=1e-6) and (method == "lda" or (again == components).all())


@pytest.mark.parametrize("method", ["nmf", "lda"])
def test_an_empty_row_has_no_weights(method):
    assert not weights(method, csr_matrix((1, 4)), np.ones((2, 4)) / 4).any()
