import numpy as np
import pytest
import torch
from fake_models import ByteVocabulary, HashModel
from torch import nn

from wenmo.config import ModelSettings
from wenmo.errors import OptionError
from wenmo.generation.decoding import complete
from wenmo.generation.options import resolve_settings
from wenmo.generation.reader import Reader
from wenmo.generation.runtime import (
    CompactLinear,
    CompactMatrix,
    DecodeRuntime,
    choose_precision,
    compact_copy,
    decode_runtime,
)
from wenmo.models.mixture import MixtureModel
from wenmo.models.registry import build_config, build_model, neural_architectures

ARCHITECTURES = neural_architectures()
AS_IT_IS = ("embedding.weight", "cell.weight", "convolution.weight")
"""Matrices that a compact copy shares with the model."""


def tiny(architecture, **settings):
    torch.manual_seed(0)
    shape = ModelSettings(layers=2, width=32, context=32, **settings)
    return build_model(build_config(architecture, vocab_size=257, settings=shape)).eval()


@pytest.mark.parametrize(("precision", "error"), [("int8", 0.5 / 127), ("bf16", 2**-8)])
def test_a_compact_matrix_rounds_each_weight_and_nothing_else(precision, error):
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(37, 19, generator=generator) * torch.logspace(-3, 3, 37)[:, None]
    matrix = CompactMatrix(weight.T.contiguous().T, precision)  # also when the storage is by columns
    stored = matrix(torch.eye(19)).T
    largest = weight.abs().amax(1, keepdim=True)
    assert ((stored - weight).abs() <= error * largest * 1.001).all()
    x = torch.randn(2, 3, 19, generator=generator)
    torch.testing.assert_close(matrix(x), x @ stored.T, rtol=1e-4, atol=1e-4)


def test_a_compact_matrix_of_zeros_gives_zeros():
    assert (CompactMatrix(torch.zeros(4, 4), "int8")(torch.ones(4)) == 0).all()


def test_a_compact_matrix_stands_for_a_weight_in_linear():
    weight, bias, x = torch.randn(5, 4), torch.randn(5), torch.randn(2, 4)
    found = nn.functional.linear(x, CompactMatrix(weight, "bf16"), bias)
    torch.testing.assert_close(found, nn.functional.linear(x, weight.bfloat16().float(), bias))
    with pytest.raises(TypeError):
        torch.relu(CompactMatrix(weight, "bf16"))


@pytest.mark.parametrize("precision", ["bf16", "int8"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_steps_differ_from_the_model_only_by_the_rounding_of_its_weights(architecture, precision):
    model = tiny(architecture)
    runtime = decode_runtime(model, precision)
    rounded = tiny(architecture)  # the model itself with weights rounded in the same way
    with torch.no_grad():
        for name, weight in rounded.named_parameters():
            if weight.dim() == 2 and not name.endswith(AS_IT_IS):
                weight.copy_(CompactMatrix(weight, precision)(torch.eye(weight.shape[1])).T)
    output = CompactMatrix(model.output_weight, precision)(torch.eye(model.output_weight.shape[1])).T
    ids = torch.randint(1, 257, (2, 9), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        state = expected_state = None
        for t in range(ids.shape[1]):
            logits, state = runtime(ids[:, t : t + 1], state)
            hidden, expected_state = rounded.hidden(ids[:, t : t + 1], expected_state)
            torch.testing.assert_close(logits, hidden @ output.T, rtol=1e-3, atol=2e-4)
        assert state.lengths.tolist() == [9, 9]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_prompt_is_read_by_the_model_itself(architecture):
    model = tiny(architecture)
    prompt = np.arange(1, 12)
    found = Reader(decode_runtime(model, "int8"), prompt, 0)
    np.testing.assert_array_equal(found.logits, Reader(model, prompt, 0).logits)
    found.advance([0, 0], [3, 4])
    assert found.logits.shape == (2, 257)


@pytest.mark.parametrize("layout", ["qwen3", "llama", "gpt2"])
def test_every_layout_writes_past_its_context(layout):
    model = tiny("transformer", layout=layout)
    settings = resolve_settings({"max_tokens": 80, "seed": 0, "ignore_eos": True, "n": 2})
    found = complete(decode_runtime(model, "int8"), ByteVocabulary(), np.arange(1, 50), settings)
    assert [len(c.tokens) for c in found] == [80, 80]
    assert found[0].precision == "int8" and "49 tokens" in found[0].notes[0]


def test_the_copy_replaces_linear_layers_and_leaves_the_model_alone():
    model = tiny("transformer")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    copied = compact_copy(model, "int8")
    assert sum(isinstance(m, CompactLinear) for m in copied.modules()) == 8
    assert not any(isinstance(m, nn.Linear) for m in copied.modules())
    assert sum(isinstance(m, nn.Linear) for m in model.modules()) == 8
    assert copied.embedding.weight is model.embedding.weight
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_mixture_gets_compact_members():
    mixture = MixtureModel.of({"one": tiny("transformer"), "two": tiny("lstm")}).eval()
    runtime = decode_runtime(mixture, "int8")
    assert all(isinstance(member, DecodeRuntime) for member in runtime.saved_members().values())
    assert not any(isinstance(member, DecodeRuntime) for member in mixture.saved_members().values())
    settings = resolve_settings({"max_tokens": 40, "temperature": 0, "ignore_eos": True})
    precise, compact = (
        complete(m, ByteVocabulary(), np.arange(1, 5), settings)[0] for m in (mixture, runtime)
    )
    assert compact.precision == "int8" and precise.precision == "fp32"
    np.testing.assert_allclose(precise.logprobs[0], compact.logprobs[0], atol=1e-5)


def test_precision_is_chosen_where_it_pays():
    small = tiny("lstm")
    large = tiny("lstm").requires_grad_(False)
    large.num_parameters = lambda: 28_000_000
    long, short = resolve_settings({"max_tokens": 256}), resolve_settings({"max_tokens": 4})
    assert choose_precision(large, long) == "int8"
    assert choose_precision(large, short) == "fp32"
    assert choose_precision(small, long) == "fp32"
    assert choose_precision(large, resolve_settings({"max_tokens": 256, "n": 16})) == "fp32"
    assert choose_precision(small, resolve_settings({"precision": "bf16"})) == "bf16"


def test_a_model_without_matrices_refuses_a_precision():
    with pytest.raises(OptionError, match="precision=int8"):
        choose_precision(HashModel(257), resolve_settings({"precision": "int8"}))
    assert choose_precision(HashModel(257), resolve_settings({"precision": "fp32"})) == "fp32"
