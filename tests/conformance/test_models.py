"""The battery that every architecture passes: the contract of `wenmo.models.base`, as tests."""

import copy
import importlib
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_cases import ALL, BEYOND_WINDOWS, CONTEXT, NEURAL, VOCAB, case, tokens

from wenmo.config import ModelSettings
from wenmo.models.likelihood import score_stream, windows
from wenmo.models.registry import architectures, build_config, build_model
from wenmo.models.sizes import SIZED, TOLERANCE
from wenmo.models.storage import load_model, save_model

every = pytest.mark.parametrize("name", ALL)
every_neural = pytest.mark.parametrize("name", NEURAL)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def close(found, expected):
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


def loss_of(model, ids):
    logits, _ = model(ids[:, :-1])
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


def test_the_battery_knows_every_architecture_and_layout():
    assert {case(name).architecture for name in ALL} == set(architectures())
    layouts = {getattr(case(name).config, "layout", None) for name in ALL} - {None}
    assert layouts == set(ModelSettings.model_fields["layout"].annotation.__args__)


@every
def test_logits_have_the_promised_shape_and_are_a_distribution(name):
    logits, state = case(name)(tokens(3, 7))
    assert logits.shape == (3, 7, VOCAB) and logits.dtype == torch.float32
    log_probabilities = torch.log_softmax(logits.double(), -1)
    assert torch.isfinite(log_probabilities).all()
    close(log_probabilities.exp().sum(-1), torch.ones(3, 7, dtype=torch.float64))
    assert state.lengths.tolist() == [7, 7, 7] and state.lengths.dtype == torch.int64
    assert (logits.amax((0, 1)) > logits.amin((0, 1))).any(), "the context must matter"


@every
def test_the_future_does_not_matter(name):
    ids = tokens(2, 9)
    other = ids.clone()
    other[:, 5:] = (other[:, 5:] + 1) % VOCAB
    close(case(name)(other)[0][:, :5], case(name)(ids)[0][:, :5])


@every
def test_rows_do_not_see_each_other(name):
    ids = tokens(4, 8)
    together, _ = case(name)(ids)
    for row in range(4):
        close(together[row : row + 1], case(name)(ids[row : row + 1])[0])


@every
def test_single_steps_equal_one_pass(name):
    model, ids = case(name), tokens(2, 12)
    whole, _ = model(ids)
    state = model.initial_state(2)
    for place in range(12):
        logits, state = model(ids[:, place : place + 1], state)
        close(logits[:, 0], whole[:, place])
        assert state.lengths.tolist() == [place + 1] * 2


@every
def test_reading_nothing_changes_nothing(name):
    model, ids, nothing = case(name), tokens(2, 6), tokens(2, 0)
    whole, _ = model(ids)
    logits, state = model(nothing)
    assert logits.shape == (2, 0, VOCAB) and state.lengths.tolist() == [0, 0]
    first, state = model(ids[:, :4], model(nothing, state)[1])
    second, state = model(ids[:, 4:], model(nothing, state)[1])
    close(torch.cat([first, second], 1), whole)
    assert state.lengths.tolist() == [6, 6]


@every_neural
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_model_in_another_precision_reads_on_from_its_state(name, dtype):
    model, ids = copy.deepcopy(case(name)).to(dtype), tokens(2, 8)
    whole, _ = model(ids)
    first, state = model(ids[:, :5])
    second, _ = model(ids[:, 5:], state)
    assert whole.dtype == torch.float32
    rough = {torch.bfloat16: 0.3, torch.float16: 0.04, torch.float64: 2e-5}[dtype]
    torch.testing.assert_close(torch.cat([first, second], 1), whole, atol=rough, rtol=rough)


@every
def test_prefill_then_steps_equal_one_pass(name):
    model, ids = case(name), tokens(3, 12)
    whole, _ = model(ids)
    logits, state = model(ids[:, :8])
    close(logits, whole[:, :8])
    for place in range(8, 12):
        logits, state = model(ids[:, place : place + 1], state)
        close(logits[:, 0], whole[:, place])


def read_ragged(model, rows, cuts, state=None, seed=0):
    """Reads each row in the pieces that `cuts` (one list of lengths per call) say; padding is random.

    Returns the logits of every row (its length, V) and the state.
    """
    noise = np.random.default_rng(seed)
    done, logits = [0] * len(rows), [[] for _ in rows]
    for lengths in cuts:
        width = max(max(lengths), int(noise.integers(0, 3)), 1)
        ids = torch.from_numpy(noise.integers(0, VOCAB, (len(rows), width)))
        for row, length in enumerate(lengths):
            ids[row, :length] = rows[row][done[row] : done[row] + length]
        out, state = model(ids, state, torch.tensor(lengths))
        for row, length in enumerate(lengths):
            logits[row].append(out[row, :length])
            done[row] += length
    return [torch.cat(pieces) for pieces in logits], state


@every
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_ragged_chunks_select_and_truncate_equal_one_pass(name, data):
    """The whole contract of states at once: any chunks, any padding, then select, truncate and read on."""
    model = case(name)
    batch, calls = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4))
    cuts = [data.draw(st.lists(st.integers(0, 5), min_size=batch, max_size=batch)) for _ in range(calls)]
    total = [sum(cut[row] for cut in cuts) for row in range(batch)]
    rows = list(tokens(batch, 20, seed=data.draw(st.integers(0, 99))))
    logits, state = read_ragged(model, rows, cuts)
    for row, length in enumerate(total):
        if length:
            close(logits[row], model(rows[row][None, :length])[0][0])
    assert state.lengths.tolist() == total

    picked = data.draw(st.lists(st.integers(0, batch - 1), min_size=1, max_size=4))
    kept = [data.draw(st.integers(0, total[row])) for row in picked]
    shorter = state.select(torch.tensor(picked)).truncate(torch.tensor(kept))
    assert shorter.lengths.tolist() == kept
    more = list(tokens(len(picked), 6, seed=1))
    further = [
        data.draw(st.lists(st.integers(0, 3), min_size=len(picked), max_size=len(picked))) for _ in "ab"
    ]
    continued, end = read_ragged(model, more, further, shorter, seed=2)
    for place, row in enumerate(picked):
        length = sum(cut[place] for cut in further)
        if length:
            expected, _ = model(torch.cat([rows[row][: kept[place]], more[place][:length]])[None])
            close(continued[place], expected[0, kept[place] :])
        assert end.lengths[place] == kept[place] + length

    # The state that all of this came from still means what it meant.
    logits, _ = model(tokens(batch, 2, seed=3), state)
    for row, length in enumerate(total):
        expected, _ = model(torch.cat([rows[row][:length], tokens(batch, 2, seed=3)[row]])[None])
        close(logits[row], expected[0, length:])


@every
def test_truncating_beyond_what_was_read_is_refused(name):
    _, state = case(name)(tokens(2, 4))
    with pytest.raises(ValueError, match="truncate"):
        state.truncate(torch.tensor([4, 5]))


@every
def test_reading_leaves_the_state_as_it_was(name):
    model = case(name)
    _, state = model(tokens(2, 6))
    first, kept = model(tokens(2, 3, seed=1), state)
    model(tokens(2, 3, seed=2), state)
    again, _ = model(tokens(2, 3, seed=1), state)
    assert torch.equal(first, again)
    assert state.lengths.tolist() == [6, 6]
    whole, _ = model(torch.cat([tokens(2, 6), tokens(2, 3, seed=1), tokens(2, 2, seed=4)], 1))
    close(model(tokens(2, 2, seed=4), kept)[0], whole[:, 9:])


@every
def test_told_that_it_writes_a_model_reads_on_and_the_old_state_stays(name):
    model = case(name)
    ids = tokens(2, 12)
    expected, _ = model(ids)
    _, given = model(ids[:, :6])
    own = given.writing(True)
    assert own.lengths.tolist() == given.lengths.tolist() == [6, 6]
    logits, end = model(ids[:, 6:], own)
    assert end.lengths.tolist() == [12, 12] and torch.isfinite(logits).all()
    close(model(ids[:, 6:], given)[0], expected[:, 6:])
    close(model(ids[:, 6:], own.writing(False))[0], expected[:, 6:])


@every
def test_an_empty_prompt_begins_with_eos(name):
    model = case(name)
    logits, state = model(torch.zeros(1, 1, dtype=torch.int64), model.initial_state(1))
    assert logits.shape == (1, 1, VOCAB) and state.lengths.tolist() == [1]
    without, _ = model(torch.zeros(1, 1, dtype=torch.int64))
    close(logits, without)


@every
def test_evaluation_is_deterministic(name):
    ids = tokens(2, 9)
    assert torch.equal(case(name)(ids)[0], case(name)(ids)[0])


@every
def test_saved_and_loaded_is_bitwise_the_same(name, tmp_path):
    model = case(name)
    save_model(model, tmp_path / "model", tokenizer=None)
    loaded = load_model(tmp_path / "model").model
    assert type(loaded) is type(model) and loaded.config == model.config
    assert loaded.architecture == model.architecture and not loaded.training
    before, after = model.saved_tensors(), loaded.saved_tensors()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert torch.equal(model(tokens(2, 9))[0], loaded(tokens(2, 9))[0])


@every
@pytest.mark.parametrize("context", [8, 40])
def test_scores_are_those_of_forward_window_by_window(name, context):
    if name in BEYOND_WINDOWS:
        context = 40  # one window for all
    model, width = case(name), min(context, 30)
    stream = np.append(0, tokens(1, 30).numpy()[0])
    expected = []
    for start, first in windows(30, context):
        logits, _ = model(torch.from_numpy(stream[None, start : start + width]))
        scores = -torch.log_softmax(logits[0].double(), -1)
        expected += [scores[i, stream[start + i + 1]].item() for i in range(first, width)]
    nats = score_stream(model, stream[1:], eos_id=0, context=context)
    np.testing.assert_allclose(nats, expected, atol=5e-5)


@every
def test_adaptive_scoring_leaves_the_model_as_it_was(name):
    model = case(name)
    ids = tokens(1, 60, seed=5).numpy()[0]
    before, _ = model(tokens(2, 9))
    static = score_stream(model, ids, eos_id=0, context=16)
    adaptive = score_stream(model, ids, eos_id=0, context=16, adaptive=True)
    assert adaptive.shape == static.shape and np.isfinite(adaptive).all()
    assert torch.equal(model(tokens(2, 9))[0], before)
    np.testing.assert_array_equal(score_stream(model, ids, eos_id=0, context=16), static)


@every_neural
@torch.enable_grad()
def test_every_parameter_receives_a_gradient(name):
    model = NEURAL[name]().train()
    loss_of(model, tokens(4, 12)).backward()
    for key, weight in model.named_parameters():
        assert weight.grad is not None and torch.isfinite(weight.grad).all(), key
        assert (weight.grad != 0).any(), key


@every_neural
@torch.enable_grad()
def test_one_step_lowers_the_loss_on_that_batch(name):
    model, ids = NEURAL[name]().train(), tokens(4, 12)
    before = loss_of(model, ids)
    before.backward()
    with torch.no_grad():
        for weight in model.parameters():
            weight -= 0.01 * weight.grad
    assert loss_of(model, ids) < before


@every_neural
def test_dropout_acts_in_training_only(name):
    torch.manual_seed(0)
    model = NEURAL[name](dropout=0.4)
    ids = tokens(2, 9)
    model.train()
    assert not torch.equal(model(ids)[0], model(ids)[0])
    plain = type(model)(model.config.model_copy(update={"dropout": 0.0})).eval()
    plain.load_state_dict(model.state_dict())
    assert torch.equal(model.eval()(ids)[0], plain(ids)[0])


@every_neural
def test_hidden_and_output_weight_make_the_logits(name):
    model, ids = case(name), tokens(2, 9)
    hidden, state = model.hidden(ids, need_state=False)
    assert state is None
    assert model.output_weight.shape == (VOCAB, hidden.shape[-1])
    close(hidden @ model.output_weight.T, model(ids)[0])


@every_neural
def test_matrices_are_hidden_matrices(name):
    model = case(name)
    own = {id(weight) for weight in model.parameters()}
    outer = {id(model.output_weight), id(model.embedding.weight)}
    matrices = model.matrices()
    assert matrices and len({id(weight) for weight in matrices}) == len(matrices)
    for weight in matrices:
        assert weight.ndim == 2 and id(weight) in own - outer
        assert sum(getattr(weight, "muon_split", (len(weight),))) == len(weight)


@every_neural
def test_the_count_without_building_is_the_number_of_parameters(name):
    model = case(name)
    module = importlib.import_module(type(model).__module__)
    assert module.count_parameters(model.config) == model.num_parameters()
    assert model.flops_per_token(CONTEXT) >= 2 * sum(weight.numel() for weight in model.matrices())


@pytest.mark.parametrize("architecture", SIZED)
@pytest.mark.parametrize("wanted", [60_000, 400_000])
def test_a_size_gives_a_model_of_that_size(architecture, wanted):
    config = build_config(architecture, vocab_size=300, settings=ModelSettings(), parameters=wanted)
    model = build_model(config)
    assert math.isclose(model.num_parameters(), wanted, rel_tol=TOLERANCE)
    assert model.architecture == architecture
