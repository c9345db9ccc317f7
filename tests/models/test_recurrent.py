import pytest
import torch
from torch import nn

from wenmo.models.recurrent import RecurrentConfig, RecurrentModel, count_parameters
from wenmo.models.recurrent_layer import LockedDropout
from wenmo.models.recurrent_state import SNAPSHOTS

CELLS = ["rnn", "lstm", "gru"]


def make(architecture="lstm", **fields):
    shape = {"vocab_size": 13, "context_length": 8, "embedding_size": 6, "hidden_size": 6, "layers": 2}
    return RecurrentModel(RecurrentConfig(architecture=architecture, **{**shape, **fields}))


def reference(model):
    """The same network in `torch.nn`, with the same weights."""
    config = model.config
    kinds = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
    extra = {"nonlinearity": config.nonlinearity} if config.architecture == "rnn" else {}
    network = kinds[config.architecture](
        config.embedding_size, config.hidden_size, config.layers, batch_first=True, **extra
    )
    for index, layer in enumerate(model.layers):
        for name, weight in layer.named_parameters():
            getattr(network, f"{name}_l{index}").data.copy_(weight.data)
    return network.eval()


@pytest.mark.parametrize("architecture", CELLS)
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_equals_torch(architecture, nonlinearity):
    model = make(architecture, nonlinearity=nonlinearity, hidden_size=9, layers=3).eval()
    ids = torch.randint(0, 13, (4, 10))
    outputs, _ = reference(model)(model.embedding(ids))
    expected = outputs @ model.projection.weight.T @ model.embedding.weight.T
    torch.testing.assert_close(model(ids)[0], expected, atol=1e-5, rtol=1e-5)
    steps, state = [], None
    for step in ids.split(1, 1):
        logits, state = model(step, state)
        steps.append(logits)
    torch.testing.assert_close(torch.cat(steps, 1), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("architecture", CELLS)
@pytest.mark.parametrize(
    "fields", [{}, {"hidden_size": 10}, {"tied": False, "hidden_size": 10}, {"layers": 1}]
)
def test_count_equals_the_model(architecture, fields):
    model = make(architecture, **fields)
    assert count_parameters(model.config) == model.num_parameters()


def test_initial_weights_are_those_of_the_table():
    model = make("lstm", hidden_size=16, embedding_size=16)
    for layer in model.layers:
        for gate in layer.weight_hh.split(16):
            torch.testing.assert_close(gate @ gate.T, torch.eye(16), atol=1e-5, rtol=0)
        forget = layer.bias_ih[16:32] + layer.bias_hh[16:32]
        assert (forget == 1).all() and layer.bias_ih.sum() == 16
    relu = make("rnn", nonlinearity="relu")
    torch.testing.assert_close(relu.layers[1].weight_hh.data, torch.eye(6))


@pytest.mark.parametrize("architecture", CELLS)
def test_muon_gets_every_hidden_matrix_with_its_gates(architecture):
    model = make(architecture, hidden_size=10)
    matrices = model.matrices()
    hidden = [w for name, w in model.named_parameters() if w.ndim == 2 and "embedding" not in name]
    assert {id(w) for w in matrices} == {id(w) for w in hidden}
    for layer in model.layers:
        for weight in (layer.weight_ih, layer.weight_hh):
            assert sum(weight.muon_split) == len(weight) and set(weight.muon_split) == {10}


def test_locked_dropout_drops_the_same_features_at_all_times():
    dropout = LockedDropout(0.5)
    dropped = dropout(torch.ones(20, 3, 50))
    assert (dropped == dropped[0]).all()
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert not torch.equal(dropped[0, 0], dropped[0, 1])
    assert torch.equal(dropout.eval()(dropped), dropped)


@pytest.mark.parametrize("architecture", CELLS)
@pytest.mark.parametrize("field", ["dropout", "recurrent_dropout"])
def test_dropout_acts_in_training_only(architecture, field):
    model = make(architecture, **{field: 0.5})
    ids = torch.randint(0, 13, (2, 5))
    assert not torch.equal(model.train()(ids)[0], model(ids)[0])
    assert torch.equal(model.eval()(ids)[0], model(ids)[0])


@pytest.mark.parametrize("architecture", CELLS)
def test_recurrent_dropout_reaches_the_recurrent_weights_only(architecture):
    """With one step from a zero state no recurrent product is left to drop."""
    model = make(architecture, recurrent_dropout=0.9).train()
    one = torch.randint(0, 13, (2, 1))
    assert torch.equal(model(one)[0], model(one)[0])
    model(torch.randint(0, 13, (2, 6)))[0].sum().backward()
    gradient = model.layers[0].weight_hh.grad
    assert (gradient == 0).float().mean() > 0.7


def test_padded_rows_keep_one_dropout_mask_in_training():
    model = make("lstm", dropout=0.5, layers=3).train()
    lengths = torch.tensor([5, 2, 4])
    ids = torch.randint(0, 13, (3, 5))
    torch.manual_seed(1)
    full, _ = model(ids)
    torch.manual_seed(1)
    padded, _ = model(ids, lengths=lengths)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(padded[row, :length], full[row, :length], atol=1e-6, rtol=1e-5)


def test_history_and_snapshots_stay_bounded_and_reach_back_to_the_beginning():
    model = make("gru").eval()
    ids = torch.randint(0, 13, (1, 300))
    state = None
    with torch.no_grad():
        for step in ids.split(1, 1):
            _, state = model(step, state)
        assert len(state.past) <= SNAPSHOTS
        for length in (0, 1, 7, 150, 290, 299):
            back = state.truncate(torch.tensor([length]))
            expected = model(ids[:, :length])[1]
            torch.testing.assert_close(back.h, expected.h, atol=1e-6, rtol=1e-5)


def test_training_keeps_no_history_and_says_so():
    model = make().train()
    state = model(torch.zeros(2, 9, dtype=torch.int64))[1]
    assert state.history.shape == (2, 0)
    with pytest.raises(ValueError, match="history"):
        state.truncate(torch.tensor([3, 3]))


def test_a_detached_state_has_no_graph():
    model = make().train()
    state = model(torch.zeros(2, 3, dtype=torch.int64))[1]
    assert state.h.requires_grad
    assert not state.detach().h.requires_grad
    torch.testing.assert_close(state.detach().h, state.h.detach())


def test_gradients_flow_in_evaluation_mode_too():
    """Attribution differentiates a model that is not being trained."""
    model = make("lstm").eval()
    model(torch.randint(0, 13, (1, 6)))[0].sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())


@pytest.mark.parametrize("architecture", CELLS)
def test_flops_count_the_matrix_products(architecture):
    model = make(architecture, layers=2, hidden_size=12)
    gates = {"rnn": 1, "lstm": 4, "gru": 3}[architecture]
    per_token = 2 * (gates * 12 * (6 + 12) + gates * 12 * (12 + 12) + 6 * 12 + 13 * 6)
    assert model.flops_per_token(8) == per_token
