import copy

import numpy as np
import pytest
import torch
from talks import conversation, tiny

from wenmo.config import GenerationSettings
from wenmo.conversation.batches import answer_nats
from wenmo.conversation.encoding import encode_conversations
from wenmo.conversation.judging import (
    answer_tokens,
    chat_likelihood,
    nearest_answers,
    plain_likelihood,
    write_answers,
)
from wenmo.conversation.mixing import count_conversations, mix_in


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
    seen = chat_likelihood(count_conversations(tokenizer, pairs), tokenizer, pairs, 64)
    few = count_conversations(tokenizer, pairs[:1])
    unseen = chat_likelihood(few, tokenizer, pairs[4:], 64)
    assert seen.bits_per_byte < unseen.bits_per_byte < 8
    hurried = count_conversations(tokenizer, pairs, seconds=1e-4)
    assert 0 < hurried.tokens_seen < count_conversations(tokenizer, pairs).tokens_seen
    plain = tiny("gru", tokenizer)
    assert plain_likelihood(plain, tokenizer, pairs, 64).bits_per_byte > 3


def test_a_mixture_is_better_than_its_members_or_is_not_made(chat_model, pairs):
    model, tokenizer = chat_model
    ngram = count_conversations(tokenizer, pairs[:5])
    mixture = mix_in(model, ngram, tokenizer, pairs, 64)
    assert mixture is not None and mixture.weights.sum(1).numpy() == pytest.approx(1)
    scores = [chat_likelihood(each, tokenizer, pairs, 64).bits_per_byte for each in (mixture, model, ngram)]
    assert scores[0] <= min(scores) * 1.0001
    # What the members give alone, mixed by hand, is what the mixture gives.
    example = encode_conversations(tokenizer, pairs[5:6], 64).examples[0]
    with torch.no_grad():
        logits = mixture(torch.from_numpy(example.ids[None, :-1]))[0][0].log_softmax(-1)
    expected = -logits[np.arange(len(example)), example.ids[1:]].numpy()[example.answers]
    np.testing.assert_allclose(answer_nats(mixture, [example])[0], expected, rtol=1e-3, atol=1e-4)
    assert mix_in(model, ngram, tokenizer, pairs, 64) is not None
    useless = count_conversations(tokenizer, [conversation((("user", "zzz"), ("assistant", "qqq")))])
    assert mix_in(perfect(model, tokenizer, pairs[:1]), useless, tokenizer, pairs[:1], 64) is None


def perfect(model, tokenizer, pairs):
    """A copy of the model that has learned the answers by heart."""
    from wenmo.conversation.batches import pad
    from wenmo.training.objective import linear_cross_entropy

    learned = copy.deepcopy(model).train()
    batch = pad(encode_conversations(tokenizer, pairs, 64).examples, 0)
    optimizer = torch.optim.Adam(learned.parameters(), lr=0.02)
    for _ in range(60):
        hidden, _ = learned.hidden(batch.inputs, need_state=False)
        linear_cross_entropy(hidden, learned.output_weight, batch.targets, batch.weights).backward()
        optimizer.step()
        optimizer.zero_grad()
    return learned.eval()


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
