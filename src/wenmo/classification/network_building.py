"""Which network is trained, how much of a text it reads, and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from wenmo.classification.encoder import (
    CombinedEncoder,
    ConvolutionalEncoder,
    ConvolutionSettings,
    LanguageModelEncoder,
    neural_member,
)
from wenmo.classification.fitting import unbiased_scores
from wenmo.classification.network import Network
from wenmo.classification.network_training import fit_head, train_network
from wenmo.config import TokenizerSettings
from wenmo.errors import ModelError
from wenmo.models.storage import load_model
from wenmo.progress import duration, quantity, track
from wenmo.text.scripts import han_share
from wenmo.tokenization.training import train_tokenizer

if TYPE_CHECKING:
    from wenmo.classification.building import Plan

LEAST_SECONDS = 5.0
"""With less time than this left, no network is trained."""
LEAST_TO_TUNE = 1_000
"""Examples from which on all layers of a language model are trained, not the last one alone."""
READING_SHARE = 0.3
"""Largest share of the time spent on reading every text once through a language model."""
SHORTEST = 64
BATCH_TOKENS = 4_096
"""Tokens of a training step, padding included."""
VOCABULARY = 8_000
BYTES_A_TOKEN = {True: 300, False: 100}
"""Bytes of text for each token of the vocabulary; in little Chinese text (True) characters do better than words."""
_PASSES = {"language model": 10.0, "scratch": 20.0}
_RATES = {"language model": 3e-3, "scratch": 3e-3}

Built = tuple[Network, npt.NDArray[np.float64], npt.NDArray[np.float64]]


def build_network(
    texts: Sequence[str],
    labels: npt.NDArray[np.int64],
    classes: int,
    folds: npt.NDArray[np.int64],
    plan: Plan,
    seconds: float,
    progress: bool,
    say: Callable[[str], None],
) -> Built | None:
    """Trains a network on a language model, or from scratch.

    Args:
        texts: All texts, held-out ones included.
        labels: Their labels (N,).
        classes: K.
        folds: Fold in which each is held out, -1 for never.
        plan: What is to be built.
        seconds: Time for everything.
        progress: Whether progress is shown.
        say: Told what was decided.

    Returns:
        The network, and its scores on the held-out examples (those of the final choice, and those where nothing was
        chosen on the same fold); None when there is too little time.

    Raises:
        ModelError: When `plan.base` holds no neural language model with a tokenizer.
    """
    started = time.monotonic()
    if seconds < LEAST_SECONDS:
        say("no network was trained: the budget leaves no time for one")
        return None
    torch.manual_seed(plan.seed)
    if plan.base is None:
        network = _from_scratch(texts, folds, classes, plan)
    else:
        network = _on_language_model(texts, classes, plan, seconds, say)
    ids = network.encode(texts)
    seconds -= _seconds_a_text(network, texts) * plan.later
    held = np.flatnonzero(folds >= 0)
    single = int(folds.max()) == 0
    inside = np.flatnonzero(folds < 0)
    if plan.base is not None and not (single and len(inside) >= LEAST_TO_TUNE):
        with track("reading the texts", len(ids), "texts", progress) as bar:
            pooled = network.pooled(ids, bar)
        fit = fit_head(network, pooled, labels, folds, every=not single)
        say("network: the last layer alone was trained, on what the language model knows")
        return network.rounded(), fit.scores, fit.unbiased
    if not single:
        return _in_folds(network, ids, labels, folds, plan, seconds, started)
    left = seconds - (time.monotonic() - started)
    kind = "scratch" if plan.base is None else "language model"
    tokens = sum(len(ids[i]) for i in inside)
    if isinstance(network.encoder, LanguageModelEncoder):
        network = _combined(network)
    parameters = sum(p.numel() for p in network.parameters())
    # Weights, gradients, two moments and the average; and a dozen values for each hidden one of a step.
    memory = 4 * (5 * parameters + 12 * BATCH_TOKENS * network.encoder.width)
    say(
        f"network: {quantity(parameters, 'parameters')}, {quantity(tokens, 'tokens')} to learn from, at most "
        f"{duration(max(left, 0))} and {_PASSES[kind]:.0f} passes, about {quantity(memory, 'B')} of memory"
    )
    with track("network", max(left, 1.0), "", progress) as bar:
        train_network(
            network,
            [ids[i] for i in inside],
            labels[inside],
            [ids[i] for i in held],
            labels[held],
            seconds=max(left, 1.0),
            lr=_RATES[kind],
            passes=_PASSES[kind],
            batch_tokens=BATCH_TOKENS,
            seed=plan.seed,
            bar=bar,
        )
    scores = network.rounded().scores_of([ids[i] for i in held])
    return network, scores, scores


def _from_scratch(texts: Sequence[str], folds: npt.NDArray[np.int64], classes: int, plan: Plan) -> Network:
    known = [text for text, fold in zip(texts, folds, strict=True) if fold < 0] or list(texts)
    size = sum(len(text.encode("utf-8")) for text in known)
    chinese = han_share("".join(text[:100] for text in known[:500])) > 0.2
    vocabulary = int(min(VOCABULARY, max(400, size // BYTES_A_TOKEN[chinese])))
    tokenizer = train_tokenizer(known, TokenizerSettings(vocab_size=vocabulary), size, progress=False)
    encoder = ConvolutionalEncoder(ConvolutionSettings(vocab_size=tokenizer.vocab_size), plan.longest)
    return Network(encoder, tokenizer, classes, plan.longest, dropout=0.5)


def _on_language_model(
    texts: Sequence[str], classes: int, plan: Plan, seconds: float, say: Callable[[str], None]
) -> Network:
    assert plan.base is not None
    loaded = load_model(Path(plan.base))
    model = neural_member(loaded.model)
    if model is None:
        raise ModelError(
            f"--from: {plan.base} is an n-gram model, which has no hidden states; train one with --arch gru, lstm or "
            "transformer"
        )
    if loaded.tokenizer is None:
        raise ModelError(f"--from: {plan.base} has no tokenizer that wenmo reads")
    longest = plan.longest
    network = Network(LanguageModelEncoder(model, longest), loaded.tokenizer, classes, longest)
    whole = _seconds_a_text(network, texts) * (len(texts) + plan.later)
    if whole > READING_SHARE * seconds:
        longest = max(SHORTEST, int(longest * READING_SHARE * seconds / whole))
        if longest < plan.longest:
            say(
                f"the network reads {longest} tokens of a text instead of {plan.longest}, to keep within the budget"
            )
            network = Network(LanguageModelEncoder(model, longest), loaded.tokenizer, classes, longest)
    return network


def _combined(network: Network) -> Network:
    """Puts convolutions on the language model of a network, which have learned nothing yet."""
    assert isinstance(network.encoder, LanguageModelEncoder)
    table = network.encoder.embedding()
    settings = ConvolutionSettings(vocab_size=table.num_embeddings, embedding=table.embedding_dim)
    encoder = CombinedEncoder(network.encoder.model, network.longest, settings)
    return Network(encoder, network.tokenizer, network.head.out_features, network.longest, dropout=0.5)


def _seconds_a_text(network: Network, texts: Sequence[str]) -> float:
    """Measures how long it takes to read a text."""
    sample = [texts[i] for i in np.linspace(0, len(texts) - 1, min(len(texts), 32)).astype(int)]
    network.pooled(network.encode(sample[:2]))
    begun = time.monotonic()
    network.pooled(network.encode(sample))
    return (time.monotonic() - begun) / len(sample)


def _in_folds(
    network: Network,
    ids: list[npt.NDArray[np.int64]],
    labels: npt.NDArray[np.int64],
    folds: npt.NDArray[np.int64],
    plan: Plan,
    seconds: float,
    started: float,
) -> Built:
    """Trains from scratch once for each fold, and on all examples in the end, each with an equal share of the time."""
    held = np.flatnonzero(folds >= 0)
    scores = np.zeros((len(ids), network.head.out_features))
    beginning = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    count = int(folds.max()) + 1
    for fold in range(count + 1):
        network.load_state_dict(beginning)
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        left = (seconds - (time.monotonic() - started)) / (count + 1 - fold)
        # Learned for a fixed number of passes: stopping by the fold's own examples would make its score too good.
        train_network(
            network,
            [ids[i] for i in inside],
            labels[inside],
            [],
            labels[:0],
            seconds=max(left, 1.0),
            lr=_RATES["scratch"],
            passes=_PASSES["scratch"] / 2,
            seed=plan.seed,
        )
        scores[outside] = network.scores_of([ids[i] for i in outside])
    unbiased = unbiased_scores([scores[held]], labels[held], folds[held])
    return network.rounded(), scores[held], unbiased
