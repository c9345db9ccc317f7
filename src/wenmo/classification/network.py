"""A classifier on an encoder: pooled hidden vectors and a linear layer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from wenmo.classification.encoder import (
    CombinedEncoder,
    ConvolutionalEncoder,
    ConvolutionSettings,
    Encoder,
    Ids,
    LanguageModelEncoder,
)
from wenmo.errors import ModelError
from wenmo.models.base import NeuralLanguageModel
from wenmo.models.saving import write_tensors
from wenmo.models.storage import load_model, save_model
from wenmo.progress import Progress
from wenmo.tokenization.tokenizer import Tokenizer

BATCH_TOKENS = 8_192
"""Tokens read at a time when texts are only classified."""


class Network(nn.Module):
    """Encoder, dropout of the pooled vector, linear layer.

    Args:
        encoder: From ids to pooled vectors.
        tokenizer: From text to ids.
        classes: Number of classes K.
        longest: Most tokens read of a text; of a longer one, three quarters of them at its beginning, the rest at
            its end.
        dropout: Of the pooled vector.
    """

    def __init__(
        self, encoder: Encoder, tokenizer: Tokenizer, classes: int, longest: int, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.longest = longest
        size = encoder.width * encoder.pools
        self.register_buffer("middle", torch.zeros(size))
        self.register_buffer("spread", torch.ones(size))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(size, classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, texts: Sequence[Ids]) -> Tensor:
        """Scores float32 (len(texts), K)."""
        return self.read_off(self.encoder(texts))

    def read_off(self, pooled: Tensor) -> Tensor:
        """Scores of pooled vectors."""
        scaled = (pooled - cast(Tensor, self.middle)) / cast(Tensor, self.spread)
        found: Tensor = self.head(self.dropout(scaled))
        return found

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of texts, cut to `longest`."""
        return [ids[self.kept(len(ids))] for ids in self.tokenizer.encode_batch(list(texts))]

    def kept(self, length: int) -> npt.NDArray[np.int64]:
        """Positions that are read of a text of `length` tokens."""
        if length <= self.longest:
            return np.arange(length)
        tail = self.longest // 4
        return np.concatenate([np.arange(self.longest - tail), np.arange(length - tail, length)])

    @torch.no_grad()
    def pooled(self, ids: Sequence[Ids], bar: Progress | None = None) -> Tensor:
        """Pooled vectors (N, size), without gradients."""
        self.eval()
        found = torch.zeros(len(ids), self.encoder.width * self.encoder.pools)
        for rows in batches(ids, BATCH_TOKENS):
            found[torch.from_numpy(rows)] = self.encoder([ids[row] for row in rows])
            if bar is not None:
                bar.advance(len(rows))
        return found

    def scores_of(self, ids: Sequence[Ids], bar: Progress | None = None) -> npt.NDArray[np.float64]:
        """Scores (N, K) of texts given as ids."""
        self.eval()
        found = np.zeros((len(ids), self.head.out_features))
        with torch.no_grad():
            for rows in batches(ids, BATCH_TOKENS):
                found[rows] = self([ids[row] for row in rows]).double().numpy()
                if bar is not None:
                    bar.advance(len(rows))
        return found

    def scores(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Scores (N, K) of texts."""
        return self.scores_of(self.encode(texts))

    @torch.no_grad()
    def rounded(self) -> Network:
        """Rounds the weights of convolutions and last layer to 16 bits, as they are saved; returns itself."""
        for name, tensor in self.state_dict().items():
            if not name.startswith("encoder.model."):
                tensor.copy_(tensor.half().float())
        return self

    def save(self, directory: Path) -> None:
        """Writes the network into a new folder."""
        directory.mkdir()
        based = isinstance(self.encoder, LanguageModelEncoder)
        described: dict[str, object] = {
            "longest": self.longest,
            "classes": self.head.out_features,
            "language_model": based,
        }
        rest = {n: t.half() for n, t in self.state_dict().items() if not n.startswith("encoder.model.")}
        if isinstance(self.encoder, LanguageModelEncoder):
            save_model(self.encoder.model, directory / "language_model", tokenizer=self.tokenizer)
        else:
            self.tokenizer.save(directory)
        if isinstance(self.encoder, ConvolutionalEncoder | CombinedEncoder):
            described["convolutions"] = self.encoder.settings.model_dump(mode="json")
        write_tensors(rest, directory / "network.safetensors")
        (directory / "network.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Network:
        """Reads what `save` wrote.

        Raises:
            ModelError: When a file is missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            described = json.loads((directory / "network.json").read_text(encoding="utf-8"))
            tensors = load_file(directory / "network.safetensors")
            longest, classes = int(described["longest"]), int(described["classes"])
            encoder: Encoder
            settings = None
            if "convolutions" in described:
                settings = ConvolutionSettings.model_validate(described["convolutions"])
            if not described["language_model"]:
                encoder = ConvolutionalEncoder(ConvolutionSettings.model_validate(settings), longest)
                tokenizer = Tokenizer.load(directory)
            else:
                loaded = load_model(directory / "language_model")
                if loaded.tokenizer is None or not isinstance(loaded.model, NeuralLanguageModel):
                    raise ModelError(
                        f"{directory / 'language_model'} is damaged; copy the whole model directory"
                    )
                tokenizer = loaded.tokenizer
                if settings is None:
                    encoder = LanguageModelEncoder(loaded.model, longest)
                else:
                    encoder = CombinedEncoder(loaded.model, longest, settings)
            network = cls(encoder, tokenizer, classes, longest)
            missing, unknown = network.load_state_dict(tensors, strict=False)
            lost = [n for n in missing if not n.startswith("encoder.model.")]
            if lost or unknown:
                raise ValueError(f"tensor {(lost or unknown)[0]}")
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise ModelError(
                f"{directory} is incomplete or damaged ({error}); copy the model again"
            ) from error
        return network.eval()


def batches(ids: Sequence[Ids], tokens: int) -> Iterator[npt.NDArray[np.int64]]:
    """Rows of texts of similar length, so that at most `tokens` are in a padded batch (one text at least)."""
    lengths = np.array([len(text) + 1 for text in ids])
    order = np.argsort(lengths, kind="stable")
    begin = 0
    while begin < len(order):
        end = begin + 1
        while end < len(order) and lengths[order[end]] * (end + 1 - begin) <= tokens:
            end += 1
        yield order[begin:end]
        begin = end
