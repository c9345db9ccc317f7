import pytest
import torch

from wenmo.config import ModelSettings
from wenmo.models.growing import grow_vocabulary
from wenmo.models.registry import build_config, build_model, kind, neural_architectures
from wenmo.models.storage import load_model, save_model

CASES = [
    *((family, "qwen3", tied) for family in neural_architectures() for tied in (True, False)),
    ("transformer", "gpt2", True),
    ("transformer", "llama", False),
]


def build(family, layout, tied, vocab_size=50):
    layout = {"layout": layout} if family == "transformer" else {}
    if family == "wenmo":
        layout = {"value_embeddings": True, "bigrams": 500}
    # As wide as the vocabulary is large: rows must not be told by their number.
    settings = ModelSettings(
        layers=2,
        width=48 if kind(family) == "transformer" or family == "rglru" else vocab_size,
        context=32,
        tied=tied,
        **layout,
    )
    return build_model(build_config(family, vocab_size=vocab_size, settings=settings)).eval()


@pytest.mark.parametrize(("family", "layout", "tied"), CASES)
def test_known_tokens_keep_their_logits_and_new_ones_are_the_mean(family, layout, tied, tmp_path):
    model = build(family, layout, tied)
    grown = grow_vocabulary(model, 54)
    ids = torch.randint(0, 50, (2, 20))
    with torch.no_grad():
        before, after = model(ids)[0], grown(ids)[0]
    torch.testing.assert_close(after[..., :50], before)
    for new in range(50, 54):
        torch.testing.assert_close(grown.output_weight[new], model.output_weight.mean(0))
        torch.testing.assert_close(grown.embedding.weight[new], model.embedding.weight.mean(0))
    assert (grown.output_weight is grown.embedding.weight) == tied
    assert grown.config.vocab_size == 54 and model.config.vocab_size == 50 and not grown.training
    loss = grown(torch.full((1, 5), 52))[0].logsumexp(-1).sum()
    loss.backward()
    assert grown.embedding.weight.grad[52].abs().sum() > 0
    save_model(grown, tmp_path / "m", tokenizer=None)
    with torch.no_grad():
        torch.testing.assert_close(load_model(tmp_path / "m").model(ids)[0], after, rtol=0, atol=0)


def test_rows_that_were_never_trained_are_new_too():
    model = build("transformer", "qwen3", True)
    grown = grow_vocabulary(model, 50, known=45, dropout=0.25)
    torch.testing.assert_close(grown.output_weight[47], model.output_weight[:45].mean(0))
    assert grown.config.dropout == 0.25 and grown.blocks[0].dropout == 0.25


def test_a_vocabulary_does_not_shrink():
    with pytest.raises(ValueError, match="cannot shrink"):
        grow_vocabulary(build("lstm", "", True), 40)
