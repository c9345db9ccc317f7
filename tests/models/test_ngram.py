import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from texts import documents
from wenmo.models.ngram import NgramConfig, NgramModel

TEXTS = [text for pair in zip(documents("en", 6000), documents("zh", 6000), strict=False) for text in pair]


def char_vocabulary(texts):
    chars = sorted(set("".join(texts)))
    token_bytes = [b"", *(c.encode() for c in chars)]
    return token_bytes, lambda text: [chars.index(c) + 1 for c in text]


def byte_vocabulary(texts):
    return [b"", *(bytes([b]) for b in range(256))], lambda text: [b + 1 for b in text.encode()]


def pair_vocabulary(texts):
    """Bytes, and pairs of bytes that cut Chinese characters in the middle."""
    joined = "".join(texts).encode()
    pairs = sorted({joined[i : i + 2] for i in range(0, len(joined) - 1, 2)})
    tokens = [b"", *(bytes([b]) for b in range(256)), *pairs]
    index = {token: i for i, token in enumerate(tokens)}

    def encode(text):
        data = text.encode()
        return [i for at in range(0, len(data), 2) for i in find(data[at : at + 2])]

    def find(piece):
        return [index[piece]] if piece in index else [index[bytes([b])] for b in piece]

    return tokens, encode


VOCABULARIES = {"char": char_vocabulary, "byte": byte_vocabulary, "pair": pair_vocabulary}


@pytest.fixture(scope="module", params=list(VOCABULARIES))
def fitted(request):
    """A fitted model, its tokens and the ids of all texts."""
    token_bytes, encode = VOCABULARIES[request.param](TEXTS)
    ids = np.array([i for text in TEXTS for i in [*encode(text), 0]])
    model = NgramModel(NgramConfig(vocab_size=len(token_bytes)))
    model.fit(ids[: len(ids) * 3 // 4], token_bytes)
    return model, token_bytes, ids


def test_probabilities_sum_to_one(fitted):
    model, _, ids = fitted
    logits, _ = model(torch.from_numpy(ids[None, :40]))
    assert torch.allclose(logits.double().exp().sum(-1), torch.ones(1, 40, dtype=torch.float64), atol=1e-5)
    unread, _ = NgramModel(NgramConfig(vocab_size=5))(torch.tensor([[0, 3]]))
    assert torch.allclose(unread.exp().sum(-1), torch.ones(1, 2))


def test_the_stream_is_scored_as_forward_predicts(fitted):
    model, _, ids = fitted
    held_out = ids[-60:]
    given = torch.from_numpy(np.append(0, held_out)[None])
    expected = cross_entropy(model(given[:, :-1])[0][0], given[0, 1:], reduction="none")
    assert np.allclose(model.token_nats(held_out, 8, False), expected.numpy(), atol=1e-5)


def test_held_out_text_is_predicted_far_better_than_by_frequency(fitted):
    model, token_bytes, ids = fitted
    cut = len(ids) * 3 // 4
    counts = np.bincount(ids[:cut], minlength=len(token_bytes)) + 0.5
    frequency = -np.log(counts / counts.sum())[ids[cut:]].sum()
    assert model.token_nats(ids[cut:], 8, False).sum() < 0.5 * frequency


def test_state_equals_reading_at_once(fitted):
    model, _, ids = fitted
    rows = torch.from_numpy(np.stack([ids[:30], ids[50:80]]))
    whole, _ = model(rows)
    first, state = model(rows[:, :12], lengths=torch.tensor([12, 7]))
    assert torch.equal(first[0], whole[0, :12]) and torch.equal(first[1, :7], whole[1, :7])
    assert state.lengths.tolist() == [12, 7]
    _, state = model(rows[:, :20])
    cut = state.truncate(torch.tensor([12, 7]))
    swapped = cut.select(torch.tensor([1, 0, 1]))
    assert swapped.lengths.tolist() == [7, 12, 7]
    ahead = torch.stack([rows[1, 7:17], rows[0, 12:22], rows[1, 7:17]])
    logits, _ = model(ahead, swapped)
    assert torch.equal(logits[0], whole[1, 7:17]) and torch.equal(logits[1], whole[0, 12:22])
    assert torch.equal(model(rows[:, 20:], state)[0], whole[:, 20:])
    with pytest.raises(ValueError, match="more tokens"):
        state.truncate(torch.tensor([21, 0]))


def test_padding_has_no_influence(fitted):
    model, _, ids = fitted
    rows = torch.from_numpy(ids[None, :10]).repeat(2, 1)
    rows[1, 4:] = 1
    lengths = torch.tensor([10, 4])
    after_padding, state = model(rows, lengths=lengths)
    assert torch.equal(after_padding[0, :4], after_padding[1, :4])
    again, _ = model(rows[:1, 4:6], state.select(torch.tensor([1])))
    assert torch.equal(again[0], after_padding[0, 4:6])


def test_adaptive_scoring_learns_and_leaves_the_model_as_it_was(fitted):
    model, _, ids = fitted
    repeated = np.tile(ids[-80:][::-1], 6)
    before = {name: tensor.clone() for name, tensor in model.saved_tensors().items()}
    static, adaptive = (model.token_nats(repeated, 8, learn).sum() for learn in (False, True))
    assert adaptive < 0.6 * static
    after = model.saved_tensors()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_learning_from_a_prompt(fitted):
    model, _, ids = fitted
    prompt = ids[-100:][::-1].copy()
    copy = model.adaptive_copy()
    copy.learn(prompt)
    assert copy.token_nats(prompt, 8, False).sum() < model.token_nats(prompt, 8, False).sum()
    assert copy.tokens_seen == model.tokens_seen + 100


def test_fitting_twice_gives_the_same_model(fitted):
    model, token_bytes, ids = fitted
    again = NgramModel(NgramConfig(vocab_size=len(token_bytes)))
    again.fit(ids[: len(ids) * 3 // 4].astype(np.uint16), token_bytes)
    tensors = again.saved_tensors()
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in model.saved_tensors().items())


def test_saved_and_restored(fitted):
    model, _, ids = fitted
    tensors = model.saved_tensors()
    again = NgramModel.restore(
        NgramConfig.model_validate_json(model.config.model_dump_json()), tensors, model.saved_members()
    )
    assert np.array_equal(again.token_nats(ids, 8, True), model.token_nats(ids, 8, True))
    assert again.num_parameters() == model.num_parameters() == len(tensors["slots"])
    with pytest.raises(ValueError, match="mixers is missing"):
        NgramModel.restore(model.config, {n: t for n, t in tensors.items() if n != "mixers"}, {})
    with pytest.raises(ValueError, match="mixers has shape"):
        NgramModel.restore(model.config, {**tensors, "mixers": torch.zeros(2, 2)}, {})
    for other in (
        {**tensors, "kernels": torch.tensor([1])},
        {n: t for n, t in tensors.items() if n != "kernels"},
    ):
        with pytest.raises(ValueError, match="another version of wenmo"):
            NgramModel.restore(model.config, other, {})
    with pytest.raises(ValueError, match="wrong length"):
        NgramModel.restore(model.config, {**tensors, "followers": tensors["followers"][1:]}, {})
    with pytest.raises(ValueError, match="wrong length"):
        NgramModel.restore(model.config, {**tensors, "slots": tensors["slots"][1:]}, {})


def test_fit_goes_on_learning(fitted):
    model, token_bytes, ids = fitted
    copy = model.adaptive_copy()
    rest = ids[len(ids) * 3 // 4 :]
    before = copy.token_nats(rest, 8, False).sum()
    copy.fit(rest, token_bytes)
    assert copy.token_nats(rest, 8, False).sum() < 0.5 * before


def test_a_full_table_still_predicts(fitted):
    _, token_bytes, ids = fitted
    small = NgramModel(NgramConfig(vocab_size=len(token_bytes), slot_bits=12))
    small.fit(ids, token_bytes)
    assert small.num_parameters() <= 1 << 12
    logits, _ = small(torch.from_numpy(ids[None, :20]))
    assert torch.allclose(logits.double().exp().sum(-1), torch.ones(1, 20, dtype=torch.float64), atol=1e-5)
    assert small.token_nats(ids, 8, False).mean() < np.log(len(token_bytes))


def test_known_contexts_rise_with_familiar_text(fitted):
    model, _, ids = fitted
    seen = model.predict(torch.from_numpy(ids[None, :50]))[2].float().mean()
    strange = model.predict(torch.from_numpy(ids[None, 50:0:-1].copy()))[2].float().mean()
    assert seen > strange
    assert np.array_equal(
        model.scan(ids[1:50], False, int(ids[0]))[1], model.predict(torch.from_numpy(ids[None, :49]))[2][0]
    )


@pytest.mark.parametrize(
    ("name", "spoil", "reason"),
    [
        ("children", lambda t: t.flip(0), "not a tree"),
        ("children", lambda t: torch.where(t == -1, -2, t), "not a tree"),
        ("children", lambda t: t[1:], "children is not int32"),
        ("followers", lambda t: torch.from_numpy(t.numpy() | np.uint32(0xFFFFF)), "vocabulary"),
        ("trust", lambda t: t + 1, "no probabilities"),
        ("calibration", lambda t: t - 1, "no probabilities"),
        ("mixers", lambda t: t * math.nan, "no numbers"),
        ("final", lambda t: t.double(), "type float64"),
    ],
)
def test_tables_that_would_lead_beside_an_array_are_refused(fitted, name, spoil, reason):
    model, _, _ = fitted
    tensors = model.saved_tensors()
    with pytest.raises(ValueError, match=reason):
        NgramModel.restore(model.config, {**tensors, name: spoil(tensors[name])}, {})


def test_an_empty_hash_table_is_refused(fitted):
    model, _, _ = fitted
    nothing = {"slots": torch.zeros(0, dtype=torch.uint32), "slots_used": torch.zeros(0, dtype=torch.uint8)}
    with pytest.raises(ValueError, match="slots has a wrong length"):
        NgramModel.restore(model.config, {**model.saved_tensors(), **nothing}, {})


def test_a_vocabulary_of_one_token():
    model = NgramModel(NgramConfig(vocab_size=1))
    model.fit(np.zeros(5, np.int64), [b""])
    assert np.array_equal(model.token_nats(np.zeros(3, np.int64), 8, True), np.zeros(3))
    assert torch.equal(model(torch.zeros(1, 2, dtype=torch.int64))[0], torch.zeros(1, 2, 1))
    again = NgramModel.restore(model.config, model.saved_tensors(), {})
    assert np.array_equal(again.token_nats(np.zeros(3, np.int64), 8, True), np.zeros(3))


def test_mistakes_are_refused(fitted):
    model, token_bytes, _ = fitted
    with pytest.raises(ValueError, match="tokenizer"):
        model.fit(np.array([1]), token_bytes[:-1])
    with pytest.raises(ValueError, match="outside"):
        model.token_nats(np.array([len(token_bytes)]), 8, False)
    for orders in ((1, 0), (-1, 2), (0, 99)):
        with pytest.raises(ValueError, match="orders"):
            NgramModel(NgramConfig(vocab_size=3, orders=orders))


def test_a_long_repetition_costs_next_to_nothing(fitted):
    model, _, ids = fitted
    passage = ids[-300:-100]
    copy = model.adaptive_copy()
    copy.learn(passage)
    copy.learn(passage)
    assert copy.token_nats(passage, 8, False)[30:].mean() < 0.15
