import numpy as np
import pytest
import torch
from talks import conversation, tiny

from wenmo.config import GenerationSettings
from wenmo.conversation.judging import (
    answer_tokens,
    chat_likelihood,
    nearest_answers,
    ngram_likelihood,
    plain_likelihood,
    write_answers,
)


@pytest.fixture
def pairs():
    return [
        conversation((("user", f"第{i}个 number {i}"), ("assistant", f"回答 {i} answer"))) for i in range(8)
    ]


def test_a_model_that_knows_nothing_needs_all_bits(chat_model, pairs):
    model, tokenizer = chat_model
    kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    try:
        with torch.no_grad():
            model.output_weight.zero_()
        found = chat_likelihood(model, tokenizer, pairs, 64)
        tokens = [len(tokenizer.encode(pair.answers[0])) for pair in pairs]
        size = sum(len(pair.answers[0].encode()) for pair in pairs)
        assert found.perplexity == pytest.approx(tokenizer.vocab_size, rel=1e-4)
        assert found.bits_per_byte == pytest.approx(
            np.log2(tokenizer.vocab_size) * sum(tokens) / size, rel=1e-4
        )
    finally:
        model.load_state_dict(kept)


def test_an_ngram_model_has_learned_what_answers_look_like(chat_model, pairs):
    _, tokenizer = chat_model
    seen, unseen = (
        ngram_likelihood(tokenizer, pairs, pairs),
        ngram_likelihood(tokenizer, pairs[:1], pairs[4:]),
    )
    assert seen.bits_per_byte < unseen.bits_per_byte < 8
    plain = tiny("gru", tokenizer)
    assert plain_likelihood(plain, tokenizer, pairs, 64).bits_per_byte > 3


def test_the_answer_to_the_most_similar_question_is_copied():
    train = [
        conversation((("user", "北京明天的天气怎么样"), ("assistant", "晴"))),
        conversation((("user", "how do I bake bread"), ("assistant", "slowly"))),
        conversation((("user", "上海有什么好吃的"), ("assistant", "小笼包"))),
    ]
    assert nearest_answers(["上海哪里好吃", "baking a bread", "北京天气"], train) == [
        "小笼包",
        "slowly",
        "晴",
    ]
    assert nearest_answers([], train) == []


def test_answers_are_written_to_held_out_questions(chat_model, pairs):
    model, tokenizer = chat_model
    settings = GenerationSettings(max_tokens=5)
    written = write_answers(model, tokenizer, pairs, settings, seconds=60, most=4, progress=False)
    assert [each.reference for each in written] == [pairs[i].answers[0] for i in (0, 2, 4, 6)]
    again = write_answers(model, tokenizer, pairs, settings, seconds=60, most=4, progress=False)
    assert [each.text for each in written] == [each.text for each in again]
    few = write_answers(model, tokenizer, pairs, settings, seconds=0, most=4, progress=False)
    assert len(few) == 2, "two are written however little time there is"
    assert 16 <= answer_tokens(tokenizer, pairs) < 40
