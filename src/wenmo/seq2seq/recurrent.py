"""Recurrent encoder-decoders: LSTM and GRU with attention, and without it as the simple baseline.

The encoder reads in both directions (Schuster & Paliwal, 1997). The lowest decoder layer asks where to look, and what
was found there goes into the layers above it and into the output (Luong et al., 2015; Wu et al., 2016): unlike input
feeding, this lets every layer run over a whole target at once. Without attention every step sees the same summary of
the source instead (Cho et al., 2014).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from wenmo.models.dropout import dropout
from wenmo.models.recurrent_config import GATES, RecurrentConfig
from wenmo.models.recurrent_layer import RecurrentLayer
from wenmo.seq2seq.attention import attend, mix
from wenmo.seq2seq.base import DecoderState, Memory, Seq2SeqConfig, Seq2SeqModel, padding_mask
from wenmo.seq2seq.source_keys import AttentionMemory, Readers, beginning

Positive = Annotated[int, Field(ge=1)]


class RecurrentPairConfig(Seq2SeqConfig):
    """Shape of a recurrent encoder-decoder."""

    architecture: Literal["lstm", "gru"]
    """Cell."""
    layers: Positive = 2
    """Layers of the encoder (each in both directions) and of the decoder."""
    embedding_size: Positive = 256
    """Size of token embeddings."""
    hidden_size: Positive = 256
    """Hidden units of a decoder layer; an encoder layer has half as many in each direction."""
    attention: Literal["general", "additive", "none"] = "general"
    """Scores: query W key (Luong et al., 2015), v tanh(U query + W key) (Bahdanau et al., 2015), or no attention."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.hidden_size % 2:
            raise ValueError(f"hidden_size ({self.hidden_size}) must be even")
        return self


@dataclass(frozen=True)
class RecurrentMemory(AttentionMemory):
    """Encoded sources.

    Attributes:
        summary: Last states of the encoder, (B, H).
        start: Decoder state to begin with, (kinds, layers, B, H): hidden, and for an LSTM cell.
    """

    summary: Tensor
    start: Tensor

    def select(self, sources: Tensor) -> Self:
        """See `AttentionMemory.select`."""
        kept = super().select(sources)
        return replace(kept, summary=self.summary[sources], start=self.start[:, :, sources])


@dataclass(frozen=True)
class RecurrentPairState(Readers[RecurrentMemory]):
    """Rows that have read targets.

    Attributes:
        states: (kinds, layers, N, H): hidden, and for an LSTM cell.
    """

    states: Tensor

    def select(self, rows: Tensor) -> RecurrentPairState:
        """See `DecoderState.select`."""
        return replace(super().select(rows), states=self.states[:, :, rows])


class RecurrentPairModel(Seq2SeqModel):
    """A recurrent encoder-decoder with one embedding for source, target and output.

    Initial weights are those of the recurrent language model: embedding N(0, 0.1^2), Xavier for inputs, orthogonal for
    recurrence, forget gates open by 1; linear layers are Xavier.

    Args:
        config: Shape; decides the cell.
    """

    config: RecurrentPairConfig

    def __init__(self, config: RecurrentPairConfig) -> None:
        super().__init__()
        self.config = config
        size, width = config.hidden_size, config.embedding_size
        self.embedding = nn.Embedding(config.vocab_size, width)
        inputs = [width] + [size] * (config.layers - 1)
        half = _layer_config(config, size // 2)
        self.ahead = nn.ModuleList(RecurrentLayer(half, i) for i in inputs)
        self.back = nn.ModuleList(RecurrentLayer(half, i) for i in inputs)
        self.decoder = nn.ModuleList(RecurrentLayer(_layer_config(config, size), i) for i in inputs)
        self.kinds = 2 if config.architecture == "lstm" else 1
        self.bridge = nn.Linear(size, self.kinds * config.layers * size, bias=False)
        attends = config.attention != "none"
        self.key = nn.Linear(size, size, bias=False) if attends else None
        self.query = nn.Linear(size, size, bias=False) if attends else None
        self.energy = nn.Parameter(torch.empty(size)) if config.attention == "additive" else None
        self.context = nn.Linear(size, size, bias=False) if config.layers > 1 else None
        self.output = nn.Linear(2 * size, width, bias=False)
        self.reset_parameters()

    @property
    def architecture(self) -> str:  # type: ignore[override]
        """Name in the registry: the cell."""
        return self.config.architecture

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draws the initial weights described above from PyTorch's generator."""
        nn.init.normal_(self.embedding.weight, std=0.1)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
            if isinstance(module, RecurrentLayer):
                size = module.weight_hh.shape[1]
                for weight in (module.weight_ih, module.weight_hh):
                    for gate in torch.split(weight, size):
                        (nn.init.orthogonal_ if weight is module.weight_hh else nn.init.xavier_uniform_)(gate)
                    weight.muon_split = (size,) * GATES[self.config.architecture]  # type: ignore[attr-defined]
                nn.init.zeros_(module.bias_ih)
                nn.init.zeros_(module.bias_hh)
                if module.lstm:
                    module.bias_ih[size : 2 * size] = 1.0
        if self.energy is not None:
            nn.init.normal_(self.energy, std=self.energy.shape[0] ** -0.5)

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.config.dropout, self.training)

    def encode(self, ids: Tensor, lengths: Tensor) -> RecurrentMemory:
        """See `Seq2SeqModel.encode`."""
        batch, size = ids.shape
        steps = torch.arange(size, device=ids.device)[:, None]
        # Turns the valid part of each row around; padding stays behind it, where no valid step sees it.
        turned = torch.where(steps < lengths, lengths - 1 - steps, steps)[..., None]
        last = (lengths - 1)[None, :, None]
        x = self._drop(self.embedding(ids.T))
        summary = x.new_zeros(batch, 0)
        half = self.config.hidden_size // 2
        for ahead, back in zip(self.ahead, self.back, strict=True):
            zeros = x.new_zeros(batch, half)
            cell = zeros if self.kinds == 2 else None
            forward = ahead(x, zeros, cell, None)[0]
            backward = back(x.gather(0, turned.expand_as(x)), zeros, cell, None)[0]
            ends = (out.gather(0, last.expand(1, batch, half))[0] for out in (forward, backward))
            summary = torch.cat(tuple(ends), -1)
            x = self._drop(torch.cat((forward, backward.gather(0, turned.expand_as(backward))), -1))
        encoded = x.transpose(0, 1)
        start = torch.tanh(self.bridge(summary)).view(batch, self.kinds, self.config.layers, -1)
        valid = padding_mask(lengths, size)
        bias = torch.zeros(valid.shape, device=ids.device).masked_fill_(~valid, -math.inf)[:, None, None]
        keys = [(self.key(encoded)[:, None], encoded[:, None])] if self.key is not None else []
        return RecurrentMemory(lengths, keys, bias, summary, start.permute(1, 2, 0, 3))

    def start(self, memory: Memory, beams: int = 1) -> RecurrentPairState:
        """See `Seq2SeqModel.start`."""
        assert isinstance(memory, RecurrentMemory)
        source, lengths = beginning(memory, beams)
        return RecurrentPairState(lengths, memory, source, beams, memory.start[:, :, source])

    def decode(
        self, ids: Tensor, state: DecoderState, need_state: bool = True
    ) -> tuple[Tensor, RecurrentPairState | None]:
        """See `Seq2SeqModel.decode`."""
        hidden, new, _ = self._decode(ids, state)
        return hidden, new if need_state else None

    def _decode(self, ids: Tensor, state: DecoderState) -> tuple[Tensor, RecurrentPairState, Tensor | None]:
        assert isinstance(state, RecurrentPairState)
        x = self._drop(self.embedding(ids.T))
        context, weights = x.new_zeros(0), None
        states: list[list[Tensor]] = [[] for _ in range(self.kinds)]
        for number, layer in enumerate(self.decoder):
            before = state.states[:, number].unbind(0)
            out, *after = layer(
                x, before[0].contiguous(), before[1].contiguous() if self.kinds == 2 else None, None
            )
            for kept, new in zip(states, after, strict=False):
                kept.append(new)
            x = self._drop(out)
            if number == 0:
                context, weights = self._look(x, state)
                if self.context is not None:
                    x = x + self.context(context)
        hidden = torch.tanh(self.output(torch.cat((x, context), -1))).transpose(0, 1)
        new_state = replace(
            state, lengths=state.lengths + ids.shape[1], states=torch.stack([torch.stack(s) for s in states])
        )
        return self._drop(hidden), new_state, weights

    def _look(self, x: Tensor, state: RecurrentPairState) -> tuple[Tensor, Tensor | None]:
        """Returns what the sources say to x (T, N, H), of the same shape, and attention weights (N, T, S)."""
        if self.query is None:
            return state.memory.summary[state.source].expand(len(x), -1, -1), None
        (source,) = state.sources()
        query = self.query(x).transpose(0, 1)[:, None]
        mixed, weights = source.attend(query, attend if self.energy is None else self._additive, 0.0)
        return mixed[:, 0].transpose(0, 1), weights[:, 0]

    def _additive(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, p: float
    ) -> tuple[Tensor, Tensor]:
        assert self.energy is not None
        return mix(torch.tanh(query.unsqueeze(3) + key.unsqueeze(2)) @ self.energy, value, mask, p)

    def attention(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor | None:
        """See `Seq2SeqModel.attention`."""
        return self._decode(target, self.start(self.encode(source, lengths)))[2]

    @property
    def output_weight(self) -> Tensor:
        """See `Seq2SeqModel.output_weight`."""
        return self.embedding.weight

    def matrices(self) -> list[nn.Parameter]:
        """See `Seq2SeqModel.matrices`."""
        return [p for p in self.parameters() if p.ndim == 2 and p is not self.embedding.weight]

    def flops_per_pair(self, source: float, target: float) -> float:
        """See `Seq2SeqModel.flops_per_pair`."""
        size = self.config.hidden_size

        def numbers(layers: nn.ModuleList) -> int:
            return sum(p.numel() for p in layers.parameters() if p.ndim == 2)

        encoder = source * (numbers(self.ahead) + numbers(self.back) + (size * size if self.key else 0))
        small = sum(p.weight.numel() for p in (self.query, self.context, self.output) if p is not None)
        attention = 2 * size * source * target if self.key is not None else 0
        decoder = target * (numbers(self.decoder) + small + self.embedding.weight.numel())
        return 2.0 * (encoder + decoder + attention + self.bridge.weight.numel())


def _layer_config(config: RecurrentPairConfig, size: int) -> RecurrentConfig:
    return RecurrentConfig(
        architecture=config.architecture,
        vocab_size=config.vocab_size,
        context_length=1,
        layers=1,
        embedding_size=size,
        hidden_size=size,
    )
