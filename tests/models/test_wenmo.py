import pytest
import torch

from wenmo.config import ModelSettings
from wenmo.models.registry import build_config, build_model
from wenmo.models.transformer import TransformerConfig, TransformerModel
from wenmo.models.wenmo import WenmoConfig, WenmoModel, count_parameters, pair_index

OFF = {"residual_scalars": False, "value_embeddings": False, "bigrams": 0, "activation": "swiglu"}
SHAPE = {
    "vocab_size": 19, "context_length": 32, "layers": 3, "width": 16, "heads": 2, "kv_heads": 1, "head_size": 8,
    "ffn": 24,
}  # fmt: skip


def make(**fields):
    torch.manual_seed(0)
    return WenmoModel(WenmoConfig(**{**SHAPE, **OFF, **fields}))


def ids(rows=2, columns=9):
    return torch.randint(0, 19, (rows, columns), generator=torch.Generator().manual_seed(3))


def test_without_additions_it_is_the_transformer():
    plain = TransformerModel(TransformerConfig(**SHAPE))
    model = make()
    model.load_state_dict(plain.state_dict())
    torch.testing.assert_close(model(ids())[0], plain(ids())[0], rtol=0, atol=0)


@pytest.mark.parametrize(
    "fields", [{"residual_scalars": True}, {"bigrams": 40}, {"residual_scalars": True, "bigrams": 400}]
)
def test_additions_begin_without_effect(fields):
    """All but value embeddings and another nonlinearity start as the Transformer that they are added to."""
    plain, model = make(), make(**fields)
    model.load_state_dict(plain.state_dict(), strict=False)
    torch.testing.assert_close(model(ids())[0], plain(ids())[0])


def test_scalars_weigh_the_stream_and_the_first_input():
    model = make(residual_scalars=True, layers=1)
    block = model.blocks[0]
    with torch.no_grad():
        block.stream_scale.fill_(0.5)
        block.input_scale.fill_(0.25)
        plain = make(layers=1)
        plain.load_state_dict(model.state_dict(), strict=False)
        plain.embedding.weight.mul_(0.75)  # in the first layer the stream is the input
        found, expected = model.hidden(ids())[0], plain.hidden(ids())[0]
    torch.testing.assert_close(found, expected)


def test_value_embeddings_are_added_to_the_values_of_every_second_layer():
    model = make(value_embeddings=True)
    tables = [block.value_embedding is not None for block in model.blocks]
    assert tables == [True, False, True]
    block = model.blocks[0]
    with torch.no_grad():
        block.value_gate.weight.normal_()
    normed = torch.randn(1, 4, 16)
    gate = 2 * torch.sigmoid(normed @ block.value_gate.weight.T)
    expected = block.value_embedding.weight[ids(1, 4)].view(1, 4, 1, 8) * gate[..., None]
    torch.testing.assert_close(block._values(normed, ids(1, 4)), expected)
    with torch.no_grad():
        for layer in (0, 2):
            model.blocks[layer].value_embedding.weight.zero_()
    plain = make()
    plain.load_state_dict(model.state_dict(), strict=False)
    torch.testing.assert_close(model(ids())[0], plain(ids())[0])


@pytest.mark.parametrize("rows", [7, 19 * 19])
def test_bigrams_add_the_row_of_the_pair(rows):
    model = make(bigrams=rows)
    with torch.no_grad():
        model.bigrams.weight.normal_()
        plain = make()
        plain.load_state_dict(model.state_dict(), strict=False)
        text = ids(1, 6)
        vectors = plain.embedding.weight[text].clone()
        for t in range(1, 6):
            vectors[0, t] += model.bigrams.weight[pair_index(text[0, t - 1], text[0, t]) % rows]
        plain.embedding = torch.nn.Embedding.from_pretrained(vectors[0])
        expected = plain.hidden(torch.arange(6)[None])[0]
    torch.testing.assert_close(model.hidden(text)[0], expected)


def test_every_pair_has_a_number_of_its_own_that_does_not_depend_on_the_vocabulary():
    first, second = (
        grid.flatten() for grid in torch.meshgrid(torch.arange(40), torch.arange(40), indexing="ij")
    )
    numbers = pair_index(first, second)
    assert sorted(numbers.tolist()) == list(range(1600))
    small = (first < 25) & (second < 25)
    assert sorted(numbers[small].tolist()) == list(range(625))


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"residual_scalars": True}, {"value_embeddings": True}, {"value_embeddings": True, "layers": 4},
        {"bigrams": 11}, {"activation": "relu2", "tied": False},
    ],
)  # fmt: skip
def test_count_equals_the_model(fields):
    model = make(**fields)
    assert count_parameters(model.config) == model.num_parameters()


def test_every_addition_can_be_set_from_outside():
    settings = ModelSettings(
        layers=2, width=32, residual_scalars=False, value_embeddings=True, bigrams=77, activation="relu2"
    )
    config = build_config("wenmo", vocab_size=40, settings=settings)
    found = (config.residual_scalars, config.value_embeddings, config.bigrams, config.activation, config.ffn)
    assert found == (False, True, 77, "relu2", 128)
    assert build_model(config).architecture == "wenmo"
    plain = build_config("wenmo", vocab_size=40, settings=ModelSettings(layers=2, width=32))
    defaults = WenmoConfig(**SHAPE)
    assert all(getattr(plain, name) == getattr(defaults, name) for name in OFF)
