import numpy as np
import pytest
from talks import conversation

from wenmo.conversation.encoding import encode_conversations, encode_plain
from wenmo.conversation.template import chat_tokenizer
from wenmo.tokenization.tokenizer import END_OF_TURN


@pytest.fixture
def tokenizer(tiny_tokenizers):
    return chat_tokenizer(tiny_tokenizers["bpe"])


def spoken(tokenizer, example):
    """(text that counts, whether the last end of turn counts)."""
    counted = example.ids[1:][example.answers]
    return tokenizer.decode(counted), bool(counted[-1] == tokenizer.special_tokens[END_OF_TURN])


def test_only_answers_and_their_ends_count(tokenizer, talks):
    encoded = encode_conversations(tokenizer, talks, 1000)
    for talk, example in zip(talks, encoded.examples, strict=True):
        assert spoken(tokenizer, example) == ("".join(talk.answers), True)
        assert example.num_bytes == sum(len(answer.encode()) for answer in talk.answers)
        ends = example.ids[1:][example.answers] == tokenizer.special_tokens[END_OF_TURN]
        assert ends.sum() == len(talk.answers)
    assert (encoded.cut, encoded.cut_answers) == (0, 0)


@pytest.mark.parametrize("context", [8, 12, 20, 33, 64])
def test_long_conversations_lose_their_beginning(tokenizer, context):
    turns = [turn for i in range(9) for turn in (("user", f"问题{i}？"), ("assistant", f"回答{i}。"))]
    long = [
        conversation((("system", "简短。"), *turns)),
        conversation((("user", "word " * 60), ("assistant", "yes"))),
        conversation((("user", "why"), ("assistant", "because " * 60))),
        conversation((("system", "很长" * 50), ("user", "好吗"), ("assistant", "好"))),
    ]
    encoded = encode_conversations(tokenizer, long, context)
    assert all(0 < len(example) <= context and example.answers.any() for example in encoded.examples)
    assert encoded.cut >= 3
    if context < 20:  # the short answers are longer than that in this vocabulary
        return
    assert (encoded.cut, encoded.cut_answers) == (3, 1)
    first, second, third, fourth = (spoken(tokenizer, example) for example in encoded.examples)
    assert "回答0。回答1。回答2。回答3。回答4。回答5。回答6。回答7。回答8。".endswith(first[0]) and first[1]
    assert second == ("yes", True) and fourth == ("好", True)
    assert third[0].startswith("because") and not third[1], "the end of a cut answer must not be learned"


def test_plain_text_has_one_message_a_line(tokenizer, talks):
    for talk, example in zip(talks, encode_plain(tokenizer, talks, 1000), strict=True):
        assert tokenizer.decode(example.ids) == "\n".join(m.content for m in talk.messages)
        assert tokenizer.decode(example.ids[1:][example.answers]) == "".join(talk.answers)
    for example in encode_plain(tokenizer, talks, 10):
        assert len(example) <= 10 and example.ids[0] == 0 and np.any(example.answers)
