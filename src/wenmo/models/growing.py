"""A larger vocabulary for a model that is already trained."""

from __future__ import annotations

from typing import Any

import torch

from wenmo.models.base import NeuralLanguageModel
from wenmo.models.registry import build_model


def grow_vocabulary(
    model: NeuralLanguageModel, vocab_size: int, *, known: int | None = None, **changes: Any
) -> NeuralLanguageModel:
    """Returns a copy of a model with rows for more tokens.

    A new row of the embedding, of the output layer where it is not tied, and of any other table of tokens, is the mean
    of the known rows: the new tokens then begin with a typical probability, and those of the known ones hardly change
    (Hewitt 2021, "Initializing New Word Embeddings for Pretrained Language Models").

    Args:
        model: A trained model; it stays as it is.
        vocab_size: Tokens of the copy, at least as many as the model has.
        known: Tokens the model was trained with; rows after them are new as well. All rows when not given.
        changes: Other fields of the configuration to change, such as `dropout`; they must not change a shape.

    Raises:
        ValueError: When the vocabulary would shrink.
    """
    if vocab_size < model.vocab_size:
        raise ValueError(f"the model has {model.vocab_size} tokens and cannot shrink to {vocab_size}")
    known = model.vocab_size if known is None else known
    config = model.config.model_copy(update={"vocab_size": vocab_size, **changes})
    grown = build_model(config)
    assert isinstance(grown, NeuralLanguageModel)
    old = model.state_dict()
    vocabulary_rows = {table.data_ptr() for table in model.vocabulary_tables()}
    with torch.no_grad():
        for name, tensor in grown.state_dict().items():
            source = old[name]
            if source.data_ptr() not in vocabulary_rows:
                tensor.copy_(source)
                continue
            tensor[:known] = source[:known]
            tensor[known:] = source[:known].mean(0)
    return grown.to(model.device).train(model.training)
