"""The small corpora, for every test of the room."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from subject_corpus import corpus

from wenmo.semantics.tokens import content_words


@pytest.fixture(params=["zh", "en"])
def language(request):
    return request.param


@pytest.fixture
def texts(language):
    return corpus(language)[0]


@pytest.fixture
def words(texts):
    return [content_words(text) for text in texts]
