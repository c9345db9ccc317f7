"""What the tests of conversations share."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import pytest
from talks import TALKS, conversation, tiny

from wenmo.conversation.starting import Base, grown_base


@pytest.fixture(scope="session")
def talks():
    return [conversation(turns) for turns in TALKS]


@pytest.fixture(scope="session", params=["transformer", "lstm", "gru", "rnn"])
def chat_model(request, tiny_tokenizers, tmp_path_factory):
    """(model, tokenizer) of every neural family, grown from a model of plain text."""
    plain = tiny(request.param, tiny_tokenizers["bpe"])
    model, tokenizer = grown_base(Base(plain, tiny_tokenizers["bpe"], tmp_path_factory.mktemp("x")), 64, 0.0)
    return model.eval(), tokenizer
