import itertools

import numpy as np
import pytest
from fake_models import ByteVocabulary, HashModel, ScriptModel, WordVocabulary

from wenmo.generation.decoding import complete
from wenmo.generation.options import resolve_settings

VOCABULARY = WordVocabulary([b"a", b"b", b"c"])


def exhaustive(model, prompt, length, penalty, eos=True):
    """Every text of at most `length` tokens with its score, best first."""
    found = []
    for size in range(1, length + 1):
        for tokens in itertools.product(range(4), repeat=size):
            ended = tokens[-1] == 0
            if 0 in tokens[:-1] or (not ended and size < length) or (0 in tokens and not eos):
                continue
            context, total = [0, *prompt], 0.0
            for token in tokens:
                logits = model.row(context).astype(np.float64)
                if not np.isinf(logits[token]):
                    total += logits[token] - np.log(np.exp(logits).sum())
                context.append(token)
            found.append((total / size**penalty, tokens))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("penalty", [-0.5, 0.0, 1.0, 2.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_wide_beams_find_what_an_exhaustive_search_finds(penalty, seed):
    model = HashModel(4, order=4, scale=1.0)
    settings = resolve_settings({"beams": 400, "n": 5, "max_tokens": 4, "length_penalty": penalty})
    found = complete(model, VOCABULARY, np.array([seed + 1]), settings)
    expected = exhaustive(model, [seed + 1], 4, penalty)[:5]
    assert [tuple(c.tokens) for c in found] == [tokens for _, tokens in expected]
    scores = [sum(c.logprobs) / len(c.tokens) ** penalty for c in found]
    np.testing.assert_allclose(scores, [score for score, _ in expected], rtol=1e-5)


@pytest.mark.parametrize("beams", [2, 3, 5])
@pytest.mark.parametrize("penalty", [0.0, 1.0, 1.5])
def test_beam_search_finds_what_transformers_finds(beams, penalty):
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(beams)
    reference = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=12, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=2, head_dim=8, initializer_range=0.8,
            eos_token_id=0, pad_token_id=0, bos_token_id=0,
        )
    ).eval()  # fmt: skip

    class Same(HashModel):
        def row(self, context):
            with torch.inference_mode():
                return reference(torch.tensor([context])).logits[0, -1].float().numpy()

    prompt = [3, 5]
    with torch.inference_mode():
        output = reference.generate(
            torch.tensor([[0, *prompt]]), num_beams=beams, num_return_sequences=beams,
            max_new_tokens=8, do_sample=False,
            length_penalty=penalty, early_stopping="never", return_dict_in_generate=True, output_scores=True,
        )  # fmt: skip
    settings = resolve_settings({"beams": beams, "n": beams, "max_tokens": 8, "length_penalty": penalty})
    found = complete(Same(12, order=99), WordVocabulary([b"x"] * 11), np.array(prompt), settings)
    scores = [sum(c.logprobs) / len(c.tokens) ** penalty for c in found]
    np.testing.assert_allclose(scores, output.sequences_scores.numpy(), rtol=1e-4)
    for completion, row in zip(found, output.sequences[:, 3:].tolist(), strict=True):
        assert completion.tokens == row[: len(completion.tokens)]
        assert set(row[len(completion.tokens) :]) <= {0}


def test_beam_search_never_ends_a_document_it_should_go_on_with():
    settings = resolve_settings({"beams": 4, "n": 4, "max_tokens": 5, "ignore_eos": True})
    for found in complete(HashModel(4), VOCABULARY, np.array([1]), settings):
        assert 0 not in found.tokens and len(found.tokens) == 5


def test_beam_search_stops_at_a_stop_string():
    vocabulary = ByteVocabulary()
    model = ScriptModel([*vocabulary.encode("一只猫。后来")])
    settings = resolve_settings({"beams": 2, "stop": ("。",)})
    best = complete(model, vocabulary, np.array([], np.int64), settings)[0]
    assert (best.text, best.finish_reason) == ("一只猫", "stop")
