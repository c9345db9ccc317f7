import pytest
import torch

from wenmo.errors import ModelError
from wenmo.models.transformer import TransformerConfig, TransformerModel, count_parameters

LAYOUTS = ("qwen3", "llama", "gpt2")


def make(layout="qwen3", *, kv_heads=None, context=32, **fields):
    torch.manual_seed(0)
    kv_heads = kv_heads or (4 if layout == "gpt2" else 2)
    config = TransformerConfig(
        vocab_size=50,
        context_length=context,
        layout=layout,
        layers=2,
        width=64,
        heads=4,
        kv_heads=kv_heads,
        head_size=16,
        ffn=96,
        **fields,
    )
    model = TransformerModel(config).eval()
    with torch.no_grad():  # biases and norms away from 0 and 1, so that a lost one shows
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture(params=LAYOUTS)
def model(request):
    return make(request.param)


@torch.no_grad()
def test_chunks_with_the_cache_give_the_logits_of_one_pass(model):
    ids = torch.randint(50, (3, 32))
    full, _ = model(ids)
    state = model.initial_state(3)
    parts = []
    for start, end in ((0, 5), (5, 6), (6, 7), (7, 20), (20, 32)):
        logits, state = model(ids[:, start:end], state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, 1), full, atol=2e-6, rtol=1e-5)
    assert state.lengths.tolist() == [32, 32, 32]


@torch.no_grad()
def test_rows_of_different_length_are_as_if_alone(model):
    ids = torch.randint(50, (3, 12))
    lengths = torch.tensor([3, 12, 0])
    logits, state = model(ids, None, lengths)
    more = torch.randint(50, (3, 6))
    more_lengths = torch.tensor([6, 2, 4])
    continued, after = model(more, state, more_lengths)
    assert after.lengths.tolist() == [9, 14, 4]
    for row in range(3):
        text = torch.cat((ids[row, : lengths[row]], more[row, : more_lengths[row]]))[None]
        alone, _ = model(text)
        first = int(lengths[row])
        torch.testing.assert_close(logits[row, :first], alone[0, :first], atol=2e-6, rtol=1e-5)
        torch.testing.assert_close(
            continued[row, : more_lengths[row]], alone[0, first:], atol=2e-6, rtol=1e-5
        )


@torch.no_grad()
def test_older_states_stay_valid_after_branches(model):
    prompt, left, right = torch.randint(50, (3, 1, 6)).unbind()
    _, base = model(prompt)
    expected_left, expected_right = (model(torch.cat((prompt, x), 1))[0][:, 6:] for x in (left, right))
    out_left, state_left = model(left, base)
    out_right, state_right = model(right, base)
    for out, expected in ((out_left, expected_left), (out_right, expected_right)):
        torch.testing.assert_close(out, expected, atol=2e-6, rtol=1e-5)
    tail = torch.randint(50, (1, 2))
    for state, branch in ((state_left, left), (state_right, right)):
        expected, _ = model(torch.cat((prompt, branch, tail), 1))
        torch.testing.assert_close(model(tail, state)[0], expected[:, 12:], atol=2e-6, rtol=1e-5)


@torch.no_grad()
def test_truncated_and_selected_states(model):
    ids = torch.randint(50, (2, 10))
    _, state = model(ids)
    short = state.truncate(torch.tensor([4, 7]))
    tail = torch.randint(50, (2, 3))
    out, _ = model(tail, short)
    for row, kept in enumerate((4, 7)):
        expected, _ = model(torch.cat((ids[row : row + 1, :kept], tail[row : row + 1]), 1))
        torch.testing.assert_close(out[row], expected[0, kept:], atol=2e-6, rtol=1e-5)
    picked = state.select(torch.tensor([1, 1, 0]))
    out, after = model(tail[[1, 1, 0]], picked)
    expected, _ = model(torch.cat((ids, tail), 1))
    torch.testing.assert_close(out, expected[[1, 1, 0], 10:], atol=2e-6, rtol=1e-5)
    assert after.lengths.tolist() == [13, 13, 13]
    with pytest.raises(ValueError, match="truncate"):
        state.truncate(torch.tensor([11, 3]))


@torch.no_grad()
def test_decoding_appends_in_place_when_older_states_are_gone():
    model = make()
    _, state = model(torch.randint(50, (1, 8)))
    _, state = model(torch.randint(50, (1, 1)), state)
    place = state.layers[0][0].data_ptr()
    for _ in range(20):
        _, state = model(torch.randint(50, (1, 1)), state)
    assert state.layers[0][0].data_ptr() == place
    state = state.truncate(torch.tensor([12]))
    _, state = model(torch.randint(50, (1, 1)), state)
    assert state.layers[0][0].data_ptr() == place


@torch.no_grad()
def test_rotary_layouts_read_beyond_the_context_and_gpt2_says_that_it_cannot():
    ids = torch.randint(50, (1, 100))
    rotary = make("qwen3")
    full, _ = rotary(ids)
    first, state = rotary(ids[:, :60])
    second, _ = rotary(ids[:, 60:], state)
    torch.testing.assert_close(torch.cat((first, second), 1), full, atol=2e-6, rtol=1e-5)
    assert rotary.max_positions is None
    learned = make("gpt2")
    assert learned.max_positions == 32
    _, state = learned(ids[:, :32])
    with pytest.raises(ModelError, match="32 positions"):
        learned(ids[:, 32:33], state)
    # Padding may lie beyond the last position, tokens may not.
    learned(ids[:, :40], None, torch.tensor([32]))
    with pytest.raises(ModelError, match="32 positions"):
        learned(ids[:, :40], None, torch.tensor([33]))


def test_gradients_flow_through_the_state(model):
    ids = torch.randint(50, (2, 12))
    whole, _ = model(ids)
    whole.logsumexp(-1).sum().backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    first, state = model(ids[:, :5])
    second, state = model(ids[:, 5:6], state)
    third, _ = model(ids[:, 6:], state)
    torch.cat((first, second, third), 1).logsumexp(-1).sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], atol=1e-4, rtol=1e-4)
        assert parameter.grad.abs().sum() > 0, name


def test_dropout_acts_in_training_only():
    model = make(dropout=0.5)
    ids = torch.randint(50, (1, 8))
    torch.testing.assert_close(model(ids)[0], make()(ids)[0])
    model.train()
    assert not torch.allclose(model(ids)[0], model(ids)[0])


def test_parameters_are_counted_without_building(model):
    assert count_parameters(model.config) == model.num_parameters()
    untied = make(model.config.layout, tied=False)
    assert count_parameters(untied.config) == untied.num_parameters()


def test_matrices_are_the_weights_inside_the_blocks_with_their_parts(model):
    matrices = model.matrices()
    assert len(matrices) == 2 * 4
    assert not any(p is model.embedding.weight for p in matrices)
    qkv = model.blocks[0].attention.qkv.weight
    assert sum(qkv.muon_split) == len(qkv)
    assert len(qkv.muon_split) == 3


def test_hidden_and_output_weight_make_the_logits(model):
    ids = torch.randint(50, (2, 7))
    hidden, state = model.hidden(ids, need_state=False)
    assert state is None
    torch.testing.assert_close(hidden @ model.output_weight.T, model(ids)[0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kv_heads": 3}, "must divide"),
        ({"head_size": 15, "kv_heads": 4}, "even"),
        ({"layout": "gpt2", "kv_heads": 2}, "gpt2 needs"),
    ],
)
def test_contradictory_shapes_are_refused(fields, message):
    shape = {
        "vocab_size": 9,
        "context_length": 8,
        "layers": 1,
        "width": 64,
        "heads": 4,
        "kv_heads": 4,
        "head_size": 16,
        "ffn": 8,
    }
    with pytest.raises(ValueError, match=message):
        TransformerConfig(**{**shape, **fields})


def test_flops_count_the_matrix_products():
    model = make("gpt2")
    weights = sum(p.numel() for p in model.matrices()) + 50 * 64
    assert model.flops_per_token(10) == 2 * weights + 2 * (2 * 64 * 10)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_training_compiles_into_one_graph(layout):
    model = make(layout)
    ids = torch.randint(50, (2, 16))
    compiled = torch.compile(model.hidden, backend="eager", fullgraph=True)
    hidden, _ = compiled(ids, need_state=False)
    torch.testing.assert_close(hidden, model.hidden(ids, need_state=False)[0])


@torch.no_grad()
def test_bfloat16_gives_nearly_the_same_distribution(model):
    ids = torch.randint(50, (2, 16))
    expected = model(ids)[0].log_softmax(-1)
    with torch.autocast("cpu", torch.bfloat16):
        first, state = model(ids[:, :10])
        second, _ = model(ids[:, 10:], state)
    torch.testing.assert_close(torch.cat((first, second), 1).log_softmax(-1), expected, atol=0.02, rtol=0.0)
