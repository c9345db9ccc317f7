import json

import numpy as np
import pytest
import torch

from wenmo.config import GenerationSettings, ModelSettings, TokenizerSettings
from wenmo.errors import ModelError, ResourceError
from wenmo.models.mixture import MixtureModel
from wenmo.models.ngram import NgramConfig, NgramModel
from wenmo.models.registry import build_config, build_model, neural_architectures
from wenmo.models.storage import load_model, save_model
from wenmo.tokenization.training import train_tokenizer

TEXT = "床前明月光，疑是地上霜。The moon is bright. " * 20


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([TEXT], TokenizerSettings(kind="byte"), len(TEXT.encode()), progress=False)


def make(architecture, tokenizer, **fields):
    torch.manual_seed(3)
    settings = ModelSettings(layers=2, width=32, context=16, **fields)
    return build_model(build_config(architecture, vocab_size=tokenizer.vocab_size, settings=settings)).eval()


@pytest.fixture
def saved(tmp_path, tokenizer):
    return save_model(make("transformer", tokenizer), tmp_path / "model", tokenizer=tokenizer)


@pytest.mark.parametrize("architecture", neural_architectures())
@torch.no_grad()
def test_save_and_load_is_bitwise(tmp_path, tokenizer, architecture):
    model = make(architecture, tokenizer, dropout=0.125)
    info = {"recipe": {"budget": "10m"}, "metrics": {"bits_per_byte": 1.9}, "注": "文"}
    generation = GenerationSettings(temperature=0.5, stop=("。",))
    directory = save_model(
        model, tmp_path / "m", tokenizer=tokenizer, info=info, generation=generation, card="# 卡\n"
    )
    loaded = load_model(directory)
    assert loaded.model.config == model.config
    assert not loaded.model.training
    assert (loaded.info, loaded.generation, loaded.directory) == (info, generation, directory)
    assert loaded.tokenizer.fingerprint == tokenizer.fingerprint
    assert (directory / "README.md").read_text(encoding="utf-8") == "# 卡\n"
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor), name
    ids = torch.randint(tokenizer.vocab_size, (2, 12))
    assert torch.equal(loaded.model(ids)[0], model(ids)[0])


@torch.no_grad()
def test_a_mixture_keeps_its_members_as_models_of_their_own(tmp_path, tokenizer):
    ngram = NgramModel(NgramConfig(vocab_size=tokenizer.vocab_size, context_length=16))
    ids = np.append(tokenizer.encode(TEXT), tokenizer.eos_id)
    ngram.fit(ids, tokenizer.token_bytes)
    mixture = MixtureModel.of({"gru": make("gru", tokenizer), "ngram": ngram}).eval()
    directory = save_model(mixture, tmp_path / "m", tokenizer=tokenizer)
    prompt = torch.from_numpy(ids[None, :12])
    for name, model in (("", mixture), ("members/gru", mixture.members["gru"]), ("members/ngram", ngram)):
        loaded = load_model(directory / name)
        assert loaded.model.architecture == model.architecture
        assert loaded.tokenizer.fingerprint == tokenizer.fingerprint
        assert torch.equal(loaded.model(prompt)[0], model(prompt)[0])
    (directory / "members" / "gru" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"gru/model\.safetensors is missing"):
        load_model(directory)


def test_config_json_names_the_family(tmp_path, tokenizer):
    save_model(make("lstm", tokenizer), tmp_path / "m", tokenizer=tokenizer)
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert config["model_type"] == "wenmo-lstm"
    assert config["eos_token_id"] == tokenizer.eos_id


def test_transformers_opens_a_saved_transformer_and_its_settings(saved, tokenizer):
    transformers = pytest.importorskip("transformers", reason="needs the transformers package")
    model = transformers.AutoModelForCausalLM.from_pretrained(saved)
    assert model.generation_config.top_p == GenerationSettings().top_p
    assert model.generation_config.eos_token_id == tokenizer.eos_id
    text = "明月 moon"
    theirs = transformers.AutoTokenizer.from_pretrained(saved)
    assert theirs(text, add_special_tokens=False)["input_ids"] == tokenizer.encode(text).tolist()


def test_saving_again_replaces_the_model_and_keeps_other_files(saved, tokenizer):
    (saved / "training").mkdir()
    (saved / "training" / "state").write_text("position")
    (saved / "metrics.jsonl").write_text("{}\n")
    save_model(make("gru", tokenizer), saved, tokenizer=tokenizer)
    assert load_model(saved).model.architecture == "gru"
    assert (saved / "training" / "state").read_text() == "position"
    assert (saved / "metrics.jsonl").exists()
    assert [entry.name for entry in saved.parent.iterdir()] == ["model"]


def test_a_folder_that_is_no_model_is_not_replaced(tmp_path, tokenizer):
    (tmp_path / "essay.txt").write_text("mine")
    with pytest.raises(ModelError, match="not a model directory"):
        save_model(make("rnn", tokenizer), tmp_path, tokenizer=tokenizer)
    assert (tmp_path / "essay.txt").read_text() == "mine"
    with pytest.raises(ModelError, match="is a file"):
        save_model(make("rnn", tokenizer), tmp_path / "essay.txt", tokenizer=tokenizer)


def test_a_failed_save_leaves_the_old_model(saved, tokenizer):
    resource = pytest.importorskip("resource", reason="file size limits are a Unix matter")
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # stands for a full disk
    try:
        with pytest.raises(ResourceError, match="no space"):
            save_model(make("lstm", tokenizer), saved, tokenizer=tokenizer)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    assert [entry.name for entry in saved.parent.iterdir()] == ["model"]


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "model.safetensors").unlink(), "model.safetensors is missing"),
        (lambda d: (d / "tokenizer.json").unlink(), "tokenizer.json is missing"),
        (lambda d: truncate(d / "model.safetensors"), "damaged or truncated"),
        (lambda d: (d / "model.safetensors").write_bytes(b""), "damaged or truncated"),
        (lambda d: (d / "model.safetensors").write_bytes(b"\xff" * 64), "damaged or truncated"),
        (lambda d: truncate(d / "wenmo.json"), "wenmo.json is damaged"),
        (lambda d: (d / "wenmo.json").write_text("[]"), "not a JSON object"),
        (lambda d: (d / "wenmo.json").write_text('{"format_version": 1}'), "'config' is missing"),
        (lambda d: edit(d / "wenmo.json", format_version=99), "format version 99"),
        (lambda d: edit(d / "wenmo.json", config={"architecture": "mamba"}), "unknown architecture 'mamba'"),
        (lambda d: edit(d / "wenmo.json", tokenizer="0" * 64), "tokenizer is not the one"),
        (lambda d: edit(d / "wenmo.json", members=["../other"]), "cannot be the name of a folder"),
        (lambda d: edit(d / "wenmo.json", generation={"top_p": 7}), "generation"),
    ],
)
def test_damage_is_one_clear_sentence(saved, damage, message):
    damage(saved)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(saved)
    assert "\n" not in str(caught.value)


def test_weights_of_another_shape_are_refused(saved):
    config = json.loads((saved / "wenmo.json").read_text())["config"]
    edit(saved / "wenmo.json", config={**config, "ffn": config["ffn"] + 16})
    with pytest.raises(ModelError, match=r"do not fit the shape: .*has shape"):
        load_model(saved)
    edit(saved / "wenmo.json", config={**config, "layers": config["layers"] + 1})
    with pytest.raises(ModelError, match=r"do not fit the shape: .*missing"):
        load_model(saved)


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(ModelError, match="there is no model directory"):
        load_model(tmp_path / "absent")
    with pytest.raises(ModelError, match=r"neither wenmo\.json nor config\.json"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "wenmo-lstm"}')
    with pytest.raises(ModelError, match=r"wenmo\.json is missing"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="unknown architecture 'bert'"):
        load_model(tmp_path)


def test_pickles_are_not_read(saved):
    (saved / "model.safetensors").unlink()
    (saved / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin may be a pickle"):
        load_model(saved)


def test_an_application_is_told_from_a_language_model(tmp_path):
    (tmp_path / "task.json").write_text("{}")
    with pytest.raises(ModelError, match="holds an application, not a language model"):
        load_model(tmp_path)
