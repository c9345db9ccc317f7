"""Vectors of a language model for every unit of a text: what `--from MODEL` adds to a reader."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from wenmo.answering.units import Units, cut_units
from wenmo.errors import ModelError
from wenmo.models.base import LanguageModel, NeuralLanguageModel
from wenmo.models.storage import load_model, save_model
from wenmo.tokenization.tokenizer import Tokenizer

TIMED_TEXTS = 6
"""Texts that are read to see how long all of them take."""
READING_SHARE = 0.3
"""Largest share of a training for reading the texts with the language model; more is missed by the reader."""


def _neural(model: LanguageModel) -> NeuralLanguageModel | None:
    """The model itself, or the neural member of a mixture with the most parameters."""
    if isinstance(model, NeuralLanguageModel):
        return model
    found = [member for member in map(_neural, model.saved_members().values()) if member is not None]
    return max(found, key=lambda member: member.num_parameters(), default=None)


class LanguageVectors:
    """Hidden vectors of a language model, normalised to a mean square of 1; the model is not trained further.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
    """

    def __init__(self, model: NeuralLanguageModel, tokenizer: Tokenizer) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.size = int(model.output_weight.shape[1])

    @classmethod
    def load(cls, directory: Path) -> LanguageVectors:
        """Opens a language model directory.

        Raises:
            ModelError: When there is none, it has no tokenizer, or no neural network in it.
        """
        loaded = load_model(directory)
        model = _neural(loaded.model)
        if model is None:
            raise ModelError(
                f"--from: {directory} holds no neural network; train one with --arch transformer or lstm"
            )
        if loaded.tokenizer is None:
            raise ModelError(f"--from: {directory} has no tokenizer that wenmo reads; train it with wenmo")
        return cls(model, loaded.tokenizer)

    def save(self, directory: Path) -> None:
        """Writes the language model as a model directory."""
        save_model(self.model, directory, tokenizer=self.tokenizer)

    @torch.no_grad()
    def vectors(self, units: Units) -> npt.NDArray[np.float32]:
        """The hidden vector at the token in which each unit ends, float32 (L, size).

        Every token is read with at least half a context before it (or all there is).
        """
        if not len(units):
            return np.zeros((0, self.size), np.float32)
        ids = torch.from_numpy(np.append(self.tokenizer.eos_id, self.tokenizer.encode(units.text)))
        context = self.model.context_length
        step = max(context // 2, 1)
        pieces = []
        for start in range(0, len(ids), step):
            begin = max(0, start - step)
            hidden, _ = self.model.hidden(ids[None, begin : start + step], need_state=False)
            pieces.append(hidden[0, start - begin :].float())
        hidden = torch.cat(pieces)
        hidden = hidden / hidden.square().mean(1, keepdim=True).add(1e-6).sqrt()
        ends = np.cumsum(self.tokenizer.byte_lengths[ids.numpy()])
        sizes = np.cumsum([0, *(len(character.encode("utf-8", "surrogatepass")) for character in units.text)])
        return hidden[np.searchsorted(ends, sizes[units.ends])].numpy()


def reading_seconds(vectors: LanguageVectors, texts: Collection[str]) -> float:
    """Estimates how long a language model takes to read texts, from the time of a few of them.

    Args:
        vectors: The language model.
        texts: All texts; the timed ones differ in length, and the first, a short one, only warms up.

    Returns:
        Seconds for all of them.
    """
    by_length = sorted(texts, key=len)
    places = np.linspace(0, max(len(by_length) - 1, 0), TIMED_TEXTS + 1).astype(int).tolist()
    chosen = [by_length[place] for place in sorted(set(places))] if by_length else []
    spent, characters = 0.0, 0
    for number, text in enumerate(chosen):
        units = cut_units(text)
        started = time.monotonic()
        vectors.vectors(units)
        if number or len(chosen) == 1:
            spent += time.monotonic() - started
            characters += len(text)
    return spent / max(characters, 1) * sum(map(len, texts))
