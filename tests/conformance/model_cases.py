"""One small model of every architecture and layout, for the battery that all of them pass."""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch

from wenmo.models.base import LanguageModel
from wenmo.models.registry import build_model, config_class, model_class

VOCAB = 17
CONTEXT = 40


def transformer(architecture="transformer", **fields):
    shape = {"width": 16, "heads": 4, "kv_heads": 4, "head_size": 4, "ffn": 24, "layers": 2}
    return neural(architecture, **{**shape, **fields})


def scan(architecture, **fields):
    return neural(architecture, **{"width": 12, "state_size": 16, "ffn": 24, "layers": 2, **fields})


def recurrent(architecture, **fields):
    return neural(architecture, **{"embedding_size": 12, "hidden_size": 12, "layers": 2, **fields})


def neural(architecture, **fields):
    config = config_class(architecture)(
        **{"architecture": architecture, "vocab_size": VOCAB, "context_length": CONTEXT, **fields}
    )
    model = build_model(config)
    with torch.no_grad():  # far from zero, so that a mistake in a state shows in the logits
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return model


OFF = {"residual_scalars": False, "value_embeddings": False, "bigrams": 0, "activation": "swiglu"}
ADDITIONS = {"residual_scalars": True, "value_embeddings": True, "bigrams": 50, "activation": "relu2"}
"""Every addition of wenmo, with fewer rows than pairs of tokens."""
NEURAL: dict[str, Callable[..., LanguageModel]] = {
    "transformer-qwen3": lambda **f: transformer(layout="qwen3", **f),
    "transformer-qwen3-grouped": lambda **f: transformer(layout="qwen3", kv_heads=2, **f),
    "transformer-llama": lambda **f: transformer(layout="llama", kv_heads=1, tied=False, **f),
    "transformer-gpt2": lambda **f: transformer(layout="gpt2", **f),
    "wenmo": lambda **f: transformer("wenmo", **{**ADDITIONS, **f}),
    "wenmo-all-pairs": lambda **f: transformer(
        "wenmo", **{**ADDITIONS, "bigrams": VOCAB**2, "kv_heads": 2, **f}
    ),
    "wenmo-scalars": lambda **f: transformer("wenmo", **{**OFF, "residual_scalars": True, **f}),
    "wenmo-values-untied": lambda **f: transformer(
        "wenmo", **{**OFF, "value_embeddings": True, "layers": 3, "tied": False, **f}
    ),
    "wenmo-off": lambda **f: transformer("wenmo", **{**OFF, **f}),
    "mingru": lambda **f: scan("mingru", **f),
    "mingru-plain": lambda **f: scan("mingru", convolution=1, gated=False, tied=False, **f),
    "minlstm": lambda **f: scan("minlstm", **f),
    "minlstm-relu2": lambda **f: scan("minlstm", gated=False, convolution=2, activation="relu2", **f),
    "rglru": lambda **f: scan("rglru", heads=4, **f),
    "rglru-plain": lambda **f: scan("rglru", convolution=1, gated=False, layers=1, **f),
    "rnn": lambda **f: recurrent("rnn", **f),
    "rnn-relu": lambda **f: recurrent("rnn", nonlinearity="relu", layers=1, **f),
    "lstm": lambda **f: recurrent("lstm", **f),
    "lstm-projected": lambda **f: recurrent("lstm", embedding_size=8, layers=3, **f),
    "lstm-untied": lambda **f: recurrent("lstm", embedding_size=8, tied=False, **f),
    "gru": lambda **f: recurrent("gru", **f),
}
TOKEN_BYTES = [
    b"",
    *(piece.encode() for piece in ["a", "b", "he", "the", " ", " s", ".", "\n", "1", "的", "人"]),
]
TOKEN_BYTES += ["一".encode()[:1], "一".encode()[1:], "山水".encode(), "，".encode(), "。".encode()]


def ngram():
    model = config_class("ngram")(vocab_size=VOCAB, context_length=CONTEXT)
    model = build_model(model)
    model.fit(skewed(4000), TOKEN_BYTES)
    return model


def skewed(count: int) -> np.ndarray:
    """A stream (count,) in which a token is often followed by the next one: something to learn."""
    generator = np.random.default_rng(7)
    jumps = np.where(generator.random(count) < 0.7, 1, generator.integers(0, VOCAB, count))
    return np.cumsum(jumps) % VOCAB


def mixture(*members, mixing):
    model = model_class("mixture").of({name: ALL[name]() for name in members})
    model.fit_weights(skewed(300), context=16, mixing=mixing)
    return model


COUNTED: dict[str, Callable[[], LanguageModel]] = {
    "ngram": ngram,
    "mixture": lambda: mixture("transformer-qwen3", "ngram", "lstm", mixing="logistic"),
    "mixture-linear": lambda: mixture("transformer-qwen3", "ngram", "lstm", mixing="linear"),
    "mixture-alone": lambda: mixture("minlstm-relu2", mixing="logistic"),
    "mixture-neural": lambda: mixture("transformer-gpt2", "gru", mixing="logistic"),
}
BEYOND_WINDOWS = ("ngram", "mixture", "mixture-linear", "mixture-alone", "mixture-neural")
"""An n-gram model looks back a few characters and words, and a cache further, whatever the window."""
ALL = {**NEURAL, **COUNTED}


@cache
def case(name: str) -> LanguageModel:
    """The model of this name in evaluation mode; tests must not change it."""
    torch.manual_seed(0)
    return ALL[name]().eval()


def tokens(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    """Random token ids (rows, columns)."""
    return torch.from_numpy(np.random.default_rng(seed).integers(0, VOCAB, (rows, columns)))
