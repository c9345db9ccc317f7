import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wenmo.conversation.batches import ConversationBatches, HeldOutAnswers, answer_nats, group, pad
from wenmo.conversation.encoding import Example, encode_conversations
from wenmo.models.ngram import NgramConfig, NgramModel


def example(length, seed=0):
    generator = np.random.default_rng([seed, length])
    answers = generator.random(length) < 0.5
    answers[-1] = True
    return Example(generator.integers(1, 50, length + 1), answers, 3 * int(answers.sum()))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=50), st.integers(1, 120))
def test_groups_cover_every_row_once_within_the_limit(lengths, tokens):
    groups = group(lengths, tokens)
    assert [i for rows in groups for i in range(rows.start, rows.stop)] == list(range(len(lengths)))
    for rows in groups:
        part = lengths[rows]
        assert len(part) == 1 or max(part) * len(part) <= tokens


def test_an_epoch_has_every_conversation_once_in_a_new_order():
    examples = [example(length, seed) for seed, length in enumerate((5, 9, 3, 30, 7, 5, 8, 2, 11, 6))]
    batches = ConversationBatches(examples, tokens=24, seed=3)
    orders = []
    for epoch in range(3):
        seen = []
        while batches.epoch == epoch and batches.batch < batches.batches_per_epoch:
            batch = batches.next()
            assert batch.inputs.numel() <= 24 or len(batch.inputs) == 1
            for inputs, targets, weights in zip(batch.inputs, batch.targets, batch.weights, strict=True):
                found = next(
                    i for i, each in enumerate(examples)
                    if len(each) <= len(inputs) and (inputs[: len(each)].numpy() == each.ids[:-1]).all()
                )  # fmt: skip
                length = len(examples[found])
                assert (targets[:length].numpy() == examples[found].ids[1:]).all()
                assert (weights[:length].numpy() == examples[found].answers).all() and not weights[
                    length:
                ].any()
                seen.append(found)
        assert sorted(seen) == list(range(len(examples)))
        orders.append(seen)
        if epoch < 2:
            batches.restore({"epoch": epoch + 1, "batch": 0})
    assert orders[0] != orders[1] != orders[2]
    assert 0 <= batches.padding < 0.5


def test_a_restored_position_gives_the_same_batches():
    examples = [example(length) for length in range(2, 30)]
    first, second = (ConversationBatches(examples, tokens=40, seed=1) for _ in range(2))
    for _ in range(37):
        first.next()
    second.restore(first.state())
    assert second.epochs_done == first.epochs_done > 1
    for _ in range(20):
        torch.testing.assert_close(first.next().inputs, second.next().inputs, rtol=0, atol=0)


def test_neighbours_and_padding_change_nothing(chat_model, talks):
    model, tokenizer = chat_model
    examples = encode_conversations(tokenizer, talks, 64).examples
    together = answer_nats(model, examples)
    for each, scores in zip(examples, together, strict=True):
        alone = answer_nats(model, [each])[0]
        assert len(scores) == each.answers.sum()
        np.testing.assert_allclose(scores, alone, rtol=1e-4, atol=1e-5)
        with torch.no_grad():
            logits = model(torch.from_numpy(each.ids[None, :-1]))[0][0].log_softmax(-1)
        expected = -logits[np.arange(len(each)), each.ids[1:]].numpy()[each.answers]
        np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


def test_the_gradient_comes_from_answers_alone(chat_model, talks):
    from wenmo.training.objective import linear_cross_entropy

    model, tokenizer = chat_model
    batch = pad(encode_conversations(tokenizer, talks, 64).examples, 0)
    changed = batch.targets.where(batch.weights > 0, torch.randint_like(batch.targets, 1, 400))
    losses = []
    for targets in (batch.targets, changed):
        hidden, _ = model.hidden(batch.inputs, need_state=False)
        losses.append(linear_cross_entropy(hidden, model.output_weight, targets, batch.weights))
    assert losses[0].item() == losses[1].item()
    model.zero_grad()


def test_held_out_loss_is_the_mean_over_answer_tokens(chat_model, talks):
    model, tokenizer = chat_model
    examples = encode_conversations(tokenizer, talks, 64).examples
    held_out = HeldOutAnswers(examples, tokens=50)
    nats = np.concatenate(answer_nats(model, examples))
    loss = held_out.loss(model)
    model.eval()
    assert loss == pytest.approx(nats.mean(), rel=1e-5)
    size = sum(len(answer.encode()) for talk in talks for answer in talk.answers)
    assert held_out.bits_per_byte(loss) == pytest.approx(nats.sum() / math.log(2) / size, rel=1e-5)


def test_models_that_are_known_by_logits_only_are_scored_too(chat_model, talks):
    _, tokenizer = chat_model
    ngram = NgramModel(NgramConfig(vocab_size=tokenizer.vocab_size))
    examples = encode_conversations(tokenizer, talks, 64).examples
    ngram.fit(np.concatenate([each.ids for each in examples]), tokenizer.token_bytes)
    scores = answer_nats(ngram, examples)
    assert [len(each) for each in scores] == [int(each.answers.sum()) for each in examples]
    assert np.concatenate(scores).mean() < math.log(tokenizer.vocab_size)


def test_nothing_to_train_on_is_an_error():
    with pytest.raises(ValueError, match="no conversations"):
        ConversationBatches([], tokens=10, seed=0)
