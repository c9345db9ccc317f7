import json

import pytest
import torch
from safetensors.torch import save_file

from wenmo.errors import ModelError
from wenmo.models.layouts import config_from_hugging_face
from wenmo.models.storage import load_model, save_model
from wenmo.models.transformer import TransformerConfig, TransformerModel

transformers = pytest.importorskip("transformers", reason="parity needs the transformers package")

CASES = [
    ("qwen3", 2, True),
    ("qwen3", 4, False),
    ("llama", 2, False),
    ("llama", 4, True),
    ("gpt2", 4, True),
    ("gpt2", 4, False),
]


def scramble(model):
    """Random values everywhere, so that no tensor can be lost or swapped unseen."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.15 + (0.5 if parameter.dim() == 1 else 0.0))
    return model.eval()


def ours(layout, kv_heads, tied):
    config = TransformerConfig(
        vocab_size=70,
        context_length=24,
        layout=layout,
        layers=3,
        width=48,
        heads=4,
        kv_heads=kv_heads,
        head_size=12 if layout == "gpt2" else 16,
        ffn=80,
        tied=tied,
        rope_theta=5000.0 if layout != "gpt2" else 10000.0,
    )
    return scramble(TransformerModel(config))


def theirs(layout, kv_heads, tied):
    if layout == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=70,
            n_positions=24,
            n_embd=48,
            n_layer=3,
            n_head=4,
            n_inner=80,
            tie_word_embeddings=tied,
        )
        return scramble(transformers.GPT2LMHeadModel(config))
    classes = {
        "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM),
        "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
    }
    config_class, model_class = classes[layout]
    config = config_class(
        vocab_size=70,
        hidden_size=48,
        intermediate_size=80,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
        head_dim=16,
        max_position_embeddings=24,
        tie_word_embeddings=tied,
        rope_parameters={"rope_type": "default", "rope_theta": 5000.0},
    )
    return scramble(model_class(config))


@pytest.mark.parametrize(("layout", "kv_heads", "tied"), CASES)
@torch.no_grad()
def test_transformers_opens_our_directory_with_the_same_logits(tmp_path, layout, kv_heads, tied):
    model = ours(layout, kv_heads, tied)
    save_model(model, tmp_path / "model", tokenizer=None)
    opened, report = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "model", output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    ids = torch.randint(70, (2, 24))
    torch.testing.assert_close(opened.eval()(ids).logits, model(ids)[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("layout", "kv_heads", "tied"), CASES)
@torch.no_grad()
def test_we_open_a_directory_of_transformers_with_the_same_logits(tmp_path, layout, kv_heads, tied):
    model = theirs(layout, kv_heads, tied)
    model.save_pretrained(tmp_path)
    opened = load_model(tmp_path)
    assert opened.tokenizer is None
    assert opened.model.num_parameters() == model.num_parameters()
    ids = torch.randint(70, (2, 24))
    torch.testing.assert_close(opened.model(ids)[0], model(ids).logits, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_old_gpt2_files_without_prefix_and_with_masks_are_read(tmp_path):
    model = theirs("gpt2", 4, True)
    model.save_pretrained(tmp_path)
    tensors = {
        name.removeprefix("transformer."): tensor.contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"
    }
    tensors["h.0.attn.bias"] = torch.ones(1, 1, 24, 24)
    save_file(tensors, tmp_path / "model.safetensors")
    ids = torch.randint(70, (1, 9))
    torch.testing.assert_close(load_model(tmp_path).model(ids)[0], model(ids).logits, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_sharded_directories_are_read(tmp_path):
    model = theirs("qwen3", 2, True)
    model.save_pretrained(tmp_path, max_shard_size="40KB")
    assert not (tmp_path / "model.safetensors").exists()
    ids = torch.randint(70, (1, 9))
    torch.testing.assert_close(load_model(tmp_path).model(ids)[0], model(ids).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "bert"}, "bert"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"attention_bias": True}, "attention_bias"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 2.0}}, "yarn"),
        ({"num_hidden_layers": None}, "config.json"),
    ],
)
def test_variants_without_a_counterpart_are_refused(change, message):
    data = json.loads(theirs("llama", 2, True).config.to_json_string(use_diff=False))
    with pytest.raises(ModelError, match=message):
        config_from_hugging_face({**data, **change})


def test_a_missing_field_is_named():
    data = theirs("gpt2", 4, True).config.to_dict()
    del data["n_layer"]
    with pytest.raises(ModelError, match="n_layer"):
        config_from_hugging_face(data)
