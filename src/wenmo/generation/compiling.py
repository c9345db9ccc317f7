"""Compiling before the first run what that run would otherwise stop for."""

from __future__ import annotations

import time
from contextlib import nullcontext

import numpy as np
import torch

from wenmo.generation.runtime import Precision, decode_runtime
from wenmo.models.base import LanguageModel, NeuralLanguageModel
from wenmo.models.fused import gelu
from wenmo.models.linear_recurrence import linear_recurrence
from wenmo.models.low_precision import LowPrecisionProducts
from wenmo.models.mixture import MixtureModel
from wenmo.models.ngram import NgramConfig, NgramModel
from wenmo.models.registry import build_model
from wenmo.models.scan_config import ScanConfig
from wenmo.models.softmax_loop import softmax
from wenmo.models.transformer_config import TransformerConfig
from wenmo.progress import track
from wenmo.tokenization import byte_pairs

TOKENS, VOCAB_SIZE, CONTEXT = 256, 64, 16
SMALL = TransformerConfig(
    vocab_size=VOCAB_SIZE,
    context_length=CONTEXT,
    layers=1,
    width=16,
    heads=1,
    kv_heads=1,
    head_size=16,
    ffn=16,
)
RECURRENT = ScanConfig(
    architecture="mingru",
    vocab_size=VOCAB_SIZE,
    context_length=CONTEXT,
    layers=1,
    width=16,
    state_size=16,
    ffn=16,
)
COMPACT: tuple[Precision, ...] = ("int8", "bf16")


def compile_kernels(progress: bool = True) -> float:
    """Uses every compiled function once, on a few made-up tokens; what is kept from before is only loaded.

    A tokenizer is trained and used, an n-gram model counts and foretells, a mixture with a small Transformer is
    fitted, scored and asked for the next token, with weights of every precision, and recurrent layers and activations
    run forward and backward.

    Args:
        progress: Whether to show a progress line.

    Returns:
        Seconds that it took: about 50 of a slow core after installation, and one or two afterwards.
    """
    started = time.monotonic()
    ids = np.random.default_rng(0).integers(0, VOCAB_SIZE, TOKENS)
    token_bytes = [bytes([32 + token]) for token in range(VOCAB_SIZE)]
    with track("compiling, once after installation", 6.0, "", progress) as shown, torch.no_grad():
        byte_pairs.warm_up()
        shown.advance()
        counted = NgramModel(NgramConfig(vocab_size=VOCAB_SIZE, context_length=CONTEXT))
        counted.fit(ids, token_bytes)
        shown.advance()
        top, probabilities = np.zeros((TOKENS, 4), np.int32), np.zeros((TOKENS, 4), np.float32)
        counted.adaptive_copy().foretell(ids, top, probabilities, before=ids[:1])
        shown.advance()
        mixture = MixtureModel.of({"transformer": build_model(SMALL).eval(), "ngram": counted})
        mixture.fit_weights(ids, mixing="linear")
        mixture.token_nats(ids, CONTEXT, True)
        mixture.fit_weights(ids, mixing="logistic")
        for adaptive in (False, True):
            mixture.token_nats(ids, CONTEXT, adaptive)
        shown.advance()
        models: list[LanguageModel] = [
            mixture,
            *(decode_runtime(mixture, precision) for precision in COMPACT),
        ]
        for model in models:
            _, state = model(torch.from_numpy(ids[None, :2]))
            model(torch.from_numpy(ids[None, 2:3]), state)
        shown.advance()
        with torch.enable_grad():
            states = torch.zeros(2, 1, 4, requires_grad=True)
            torch.autograd.grad(linear_recurrence(states, states, states[0]).sum(), states)
            network = build_model(RECURRENT)
            assert isinstance(network, NeuralLanguageModel)
            for computing in (nullcontext(), LowPrecisionProducts()):
                with computing:
                    hidden, _ = network.train().hidden(torch.from_numpy(ids[None, :2]))
                torch.autograd.grad(hidden.sum(), list(network.parameters()))
            for kind in (torch.float32, torch.bfloat16):
                values = torch.zeros(1, 16, dtype=kind, requires_grad=True)
                torch.autograd.grad(gelu(values, torch.zeros(16)).sum(), values)
                softmax(
                    values.detach(), None, torch.zeros(1, 1, dtype=torch.int64), False, torch.empty(1, 16)
                )
        shown.advance()
    return time.monotonic() - started
