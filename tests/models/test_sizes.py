import itertools
from importlib import import_module

import pytest

from wenmo.config import ModelSettings
from wenmo.errors import OptionError
from wenmo.models.registry import build_config, model_class
from wenmo.models.sizes import SIZED, parse_size


def count(config):
    return import_module(model_class(config.architecture).__module__).count_parameters(config)


@pytest.mark.parametrize(
    ("text", "number"),
    [("800k", 800_000), ("5M", 5_000_000), ("1.5B", 1_500_000_000), (" 0.2m ", 200_000), ("250000", 250_000)],
)
def test_sizes_are_read(text, number):
    assert parse_size(text) == number


@pytest.mark.parametrize("text", ["", "five", "-3M", "0", "3 T", "1e6"])
def test_other_sizes_are_refused(text):
    with pytest.raises(OptionError, match="--size"):
        parse_size(text)


@pytest.mark.parametrize("architecture", SIZED)
def test_shapes_are_within_5_percent_of_the_request(architecture):
    for size, vocab in itertools.product(
        ("200k", "700k", "2M", "5M", "12M", "28M", "100M", "300M", "1B"), (257, 1024, 4096, 8192, 32768)
    ):
        wanted = parse_size(size)
        if vocab * 48 > wanted and (vocab, size) != (8192, "200k"):
            continue  # the embedding leaves hardly anything for the layers
        config = build_config(architecture, vocab_size=vocab, settings=ModelSettings(), parameters=wanted)
        assert abs(count(config) / wanted - 1) <= 0.05, (size, vocab, config)


@pytest.mark.parametrize("layout", ["llama", "gpt2"])
def test_every_layout_is_sized_with_its_own_parameters(layout):
    for wanted in (300_000, 5_000_000, 124_000_000):
        settings = ModelSettings(layout=layout, context=512, tied=layout == "gpt2")
        config = build_config("transformer", vocab_size=2048, settings=settings, parameters=wanted)
        assert config.layout == layout
        assert abs(count(config) / wanted - 1) <= 0.05


def test_proportions_are_those_that_train_well():
    for wanted in (1_000_000, 5_000_000, 28_000_000, 100_000_000, 1_000_000_000):
        config = build_config("transformer", vocab_size=4096, settings=ModelSettings(), parameters=wanted)
        assert 24 <= config.width / config.layers <= 128
        assert config.width % 16 == 0
        assert 32 <= config.head_size <= 128
        assert config.heads * config.head_size == config.width
        assert 2 <= config.ffn / config.width <= 4


def test_explicit_settings_win():
    settings = ModelSettings(layers=3, width=96, heads=2, kv_heads=1, context=77, dropout=0.25, tied=False)
    config = build_config("transformer", vocab_size=300, settings=settings, parameters=9_000_000)
    assert (config.layers, config.width, config.heads, config.kv_heads) == (3, 96, 2, 1)
    assert (config.context_length, config.dropout, config.tied) == (77, 0.25, False)
    config = build_config(
        "transformer", vocab_size=300, settings=ModelSettings(layers=7), parameters=5_000_000
    )
    assert config.layers == 7
    assert abs(count(config) / 5_000_000 - 1) <= 0.05
    config = build_config("gru", vocab_size=300, settings=ModelSettings(layers=1), parameters=2_000_000)
    assert config.layers == 1
    assert abs(count(config) / 2_000_000 - 1) <= 0.05
    settings = ModelSettings(width=64, layers=1, nonlinearity="relu", recurrent_dropout=0.2)
    config = build_config("rnn", vocab_size=300, settings=settings, parameters=None)
    assert (config.hidden_size, config.nonlinearity, config.recurrent_dropout) == (64, "relu", 0.2)


@pytest.mark.parametrize("architecture", SIZED)
def test_a_vocabulary_larger_than_the_model_is_named(architecture):
    with pytest.raises(OptionError, match=r"vocabulary of 100,000 tokens.*--tokenizer\.vocab_size"):
        build_config(architecture, vocab_size=100_000, settings=ModelSettings(), parameters=1_000_000)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (ModelSettings(width=100, heads=3), "3 heads"),
        (ModelSettings(width=128, heads=4, kv_heads=3), "kv-heads 3"),
        (ModelSettings(width=128, heads=4, kv_heads=2, layout="gpt2"), "gpt2"),
        (ModelSettings(width=4096), "width of 4096"),
        (ModelSettings(width=64, heads=2, layers=None), "width 64"),
    ],
)
def test_contradictions_are_refused_by_name(settings, message):
    with pytest.raises(OptionError, match=message):
        build_config(
            "transformer",
            vocab_size=2000,
            settings=settings,
            parameters=8_000_000_000 if "64" in message else 5_000_000,
        )
