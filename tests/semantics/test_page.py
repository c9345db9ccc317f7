import re

import numpy as np
import pytest
from subject_corpus import corpus

from wenmo.semantics.fitting import assemble, find_topics
from wenmo.semantics.layout import chosen, layout
from wenmo.semantics.page import render_map
from wenmo.semantics.tokens import content_words


def page_of(texts, number):
    topics, _, why = find_topics([content_words(text) for text in texts], number)
    model = assemble(texts, [f"<b>{i}" for i in range(len(texts))], topics)
    model.facts = {"why": why, "trials": [[2, 0.1, 0.5, 0.5], [3, 0.2, 0.6, 0.7]]}
    return model, *render_map(model, model.assign(texts), "<script>标题</script>")


def test_the_page_is_whole_and_safe(language):
    texts = [*corpus(language)[0], "<img src=x onerror=alert(1)> zzz"]
    model, page, svg = page_of(texts, 3)
    assert not re.search(r"""(src|href)=["']?(https?:)?//|@import|url\(""", page)
    assert "<script>标题" not in page and "<img" not in page and "&lt;img" in page and "<b>" not in svg
    assert svg.count("<circle") == len(texts) and svg.count("<title>") == len(texts)
    assert f'lang="{language}"' in page
    for label in model.topics.labels:
        assert label in page
    assert page.count('class="dot none"') == sum(d.topic < 0 for d in model.documents)
    assert (page, svg) == page_of(texts, 3)[1:], "the map of a corpus is always the same"


def test_every_dot_is_on_the_map(language):
    _, _, svg = page_of(corpus(language)[0], 3)
    _, _, width, height = map(int, re.search(r'viewBox="(\d+) (\d+) (\d+) (\d+)"', svg).groups())
    for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', svg):
        assert 0 < float(x) < width and 0 < float(y) < height


@pytest.mark.parametrize("total", [1, 2, 3, 9, 10, 40])
def test_few_documents_have_a_place(total):
    vectors = np.random.default_rng(0).normal(size=(total, 4)).astype(np.float32)
    places = layout(vectors)
    assert places.shape == (total, 2) and np.isfinite(places).all()
    assert (places >= 0).all() and (places <= 1).all()
    assert (layout(vectors) == places).all()


def test_equal_documents_have_a_place_too():
    assert np.isfinite(layout(np.ones((20, 3), np.float32))).all()


def test_alike_documents_are_near():
    chance = np.random.default_rng(0)
    centres = np.eye(3, 8) * 9
    vectors = np.vstack([centres[i % 3] + chance.normal(size=8) * 0.3 for i in range(60)]).astype(np.float32)
    places = layout(vectors)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2) + np.eye(60) * 9
    assert (distances.argmin(1) % 3 == np.arange(60) % 3).all()


def test_a_large_corpus_is_drawn_in_part():
    assert chosen(5) == [0, 1, 2, 3, 4]
    drawn = chosen(10_000, 100)
    assert len(drawn) == 100 and drawn[0] == 0 and drawn[-1] == 9_999
