from typing import get_args

import pytest

from wenmo.config import Architecture, ModelSettings, NeuralArchitecture
from wenmo.errors import ModelError, OptionError
from wenmo.models.registry import (
    architectures,
    build_config,
    build_model,
    config_class,
    kind,
    member_architectures,
    model_class,
    neural_architectures,
    parse_config,
)
from wenmo.training.budget import EFFICIENCY, TOKENS_PER_PARAMETER


@pytest.mark.parametrize("architecture", architectures())
def test_every_family_can_be_imported(architecture):
    assert model_class(architecture).__name__.endswith("Model")
    assert config_class(architecture).__name__.endswith("Config")


@pytest.mark.parametrize("architecture", neural_architectures())
def test_a_configuration_survives_json_and_builds(architecture):
    settings = ModelSettings(layers=1, width=32, context=16)
    config = build_config(architecture, vocab_size=40, settings=settings)
    assert parse_config(config.model_dump(mode="json")) == config
    model = build_model(config)
    assert (model.vocab_size, model.context_length) == (40, 16)


def test_unknown_names_and_fields_are_refused():
    with pytest.raises(ModelError, match="unknown architecture 'mamba'"):
        parse_config({"architecture": "mamba"})
    with pytest.raises(ModelError, match="unknown architecture"):
        parse_config({})
    data = build_config("transformer", vocab_size=40, settings=ModelSettings()).model_dump(mode="json")
    with pytest.raises(ModelError, match="layers"):
        parse_config({**data, "layers": -1})
    with pytest.raises(ModelError, match="color"):
        parse_config({**data, "color": 1})


def test_names_in_settings_and_laws_are_those_of_the_registry():
    assert set(get_args(NeuralArchitecture)) == set(neural_architectures())
    assert set(get_args(Architecture)) == {"auto", *architectures()}
    assert set(EFFICIENCY) == set(TOKENS_PER_PARAMETER) == set(neural_architectures())
    assert set(member_architectures()) == set(architectures()) - {"mixture"}


def test_kinds_part_the_families():
    assert kind("rglru") == "scan" and kind("wenmo") == "transformer" and kind("ngram") == "counted"
    assert neural_architectures("recurrent") == ("rnn", "lstm", "gru")
    with pytest.raises(ModelError, match="unknown architecture"):
        kind("mamba")


def test_families_that_count_have_no_size():
    with pytest.raises(OptionError, match="ngram"):
        build_config("ngram", vocab_size=40, settings=ModelSettings())
