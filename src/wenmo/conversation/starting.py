"""The model that fine-tuning begins with: a language model of the user's, or a new one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from wenmo.config import ModelSettings, TokenizerSettings
from wenmo.conversation.messages import Conversation
from wenmo.conversation.template import chat_tokenizer
from wenmo.errors import ModelError
from wenmo.models.base import NeuralLanguageModel
from wenmo.models.growing import grow_vocabulary
from wenmo.models.registry import build_config, build_model, neural_architectures
from wenmo.models.sizes import parse_size
from wenmo.models.storage import load_model
from wenmo.tokenization.tokenizer import Tokenizer
from wenmo.tokenization.training import train_tokenizer
from wenmo.training import budget as dial
from wenmo.training import hardware

COVERED = 95
"""The context is made long enough for this share of the conversations, in percent."""
LONGEST_CONTEXT = 2048
"""Most tokens that a context grows to by itself."""


@dataclass(frozen=True)
class Base:
    """A language model that was trained on plain text (or on other conversations).

    Attributes:
        model: Its neural part.
        tokenizer: Its tokenizer.
        directory: Where it was read from.
        note: What the user should know; may be empty.
    """

    model: NeuralLanguageModel
    tokenizer: Tokenizer
    directory: Path
    note: str = ""


def open_base(directory: Path) -> Base:
    """Opens the language model to begin with; of a mixture, its largest neural member.

    Raises:
        ModelError: When the folder holds no model, or one that cannot be fine-tuned.
    """
    loaded = load_model(directory)
    if loaded.tokenizer is None:
        raise ModelError(
            f"--from: {directory} has no tokenizer that wenmo reads, so it cannot learn from text"
        )
    if isinstance(loaded.model, NeuralLanguageModel):
        return Base(loaded.model, loaded.tokenizer, Path(directory))
    members = {
        name: member
        for name, member in loaded.model.saved_members().items()
        if isinstance(member, NeuralLanguageModel)
    }
    if not members:
        raise ModelError(
            f"--from: {directory} is an n-gram model, which counts and cannot be fine-tuned; "
            f"train one with --arch {', '.join(neural_architectures())}, or leave --from out"
        )
    name = max(members, key=lambda each: members[each].num_parameters())
    note = f"{directory} is a mixture; its member {name} is fine-tuned, and the result is that member alone"
    return Base(members[name], loaded.tokenizer, Path(directory), note)


def chosen_context(lengths: Sequence[int], base: NeuralLanguageModel | None, wanted: int | None) -> int:
    """Decides how many tokens of a conversation are read.

    Args:
        lengths: Tokens of each conversation.
        base: The model to begin with; learned positions end where its context ends, others can be gone beyond.
        wanted: What the user asked for.

    Raises:
        ModelError: When the model cannot read as many tokens as were asked for.
    """
    limit = None if base is None else getattr(base, "max_positions", None)
    if wanted is not None:
        if limit is not None and wanted > limit:
            raise ModelError(f"--context {wanted}: this model has {limit} positions and reads no more tokens")
        return wanted
    needed = int(np.percentile(lengths, COVERED)) if len(lengths) else 0
    context = 64
    while context < min(needed, LONGEST_CONTEXT):
        context *= 2
    if base is None:
        return context
    longest = base.context_length if limit is not None else 4 * base.context_length
    return max(base.context_length, min(context, longest))


def grown_base(base: Base, context: int, dropout: float) -> tuple[NeuralLanguageModel, Tokenizer]:
    """Returns the model with rows for the role marks, and the tokenizer that has them."""
    tokenizer = chat_tokenizer(base.tokenizer)
    vocab_size = max(base.model.vocab_size, tokenizer.vocab_size)
    changes: dict[str, int | float] = {"dropout": dropout}
    if getattr(base.model, "max_positions", None) is None:
        changes["context_length"] = context
    known = base.tokenizer.vocab_size
    return grow_vocabulary(base.model, vocab_size, known=known, **changes), tokenizer


def new_tokenizer(conversations: Sequence[Conversation], progress: bool) -> Tokenizer:
    """Trains a tokenizer on what is said in the conversations."""
    texts = [message.content for each in conversations for message in each.messages]
    total = sum(len(text.encode("utf-8", "replace")) for text in texts)
    return chat_tokenizer(train_tokenizer(iter(texts), TokenizerSettings(), total, progress=progress))


def new_model(
    architecture: str,
    tokenizer: Tokenizer,
    *,
    context: int,
    tokens: int,
    size: str | None,
    machine: hardware.Machine,
    seconds: float,
    seed: int,
) -> NeuralLanguageModel:
    """Builds a model for conversations alone, as large as text and time allow.

    Args:
        architecture: A neural one.
        tokenizer: From `new_tokenizer`.
        context: Tokens of a conversation.
        tokens: Tokens of all training conversations.
        size: Number of parameters, such as `5M`; derived when not given.
        machine: The measured machine.
        seconds: Training time.
        seed: Seed of the weights.

    Raises:
        OptionError: When the size cannot be met.
    """
    if size is not None:
        parameters = parse_size(size)
    else:
        law = dial.choose_parameters(architecture, machine.flops, seconds, tokens)
        parameters = max(law, tokenizer.vocab_size * 64 + 100_000)
    epochs = machine.flops * dial.EFFICIENCY[architecture] * seconds / (6.0 * parameters) / max(tokens, 1)
    dropout, _ = dial.regularisation(epochs, architecture)
    settings = ModelSettings(context=context, dropout=dropout, recurrent_dropout=dropout)
    config = build_config(
        architecture, vocab_size=tokenizer.vocab_size, settings=settings, parameters=parameters
    )
    torch.manual_seed(seed)
    model = build_model(config)
    assert isinstance(model, NeuralLanguageModel)
    return model
