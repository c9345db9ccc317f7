"""The encoder-decoder Transformer (Vaswani et al., 2017), normalised before each sublayer.

Layers have the shape and the parameter names of wenmo's language model in the layouts qwen3 and llama (RMSNorm, rotary
or sinusoidal positions, optional norm of queries and keys, SwiGLU), so that layers of a model trained on raw text fit.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from wenmo.models.dropout import dropout
from wenmo.models.fused import rotate, swiglu
from wenmo.models.layers import RMSNorm
from wenmo.models.rotary import RotaryTable
from wenmo.seq2seq.attention import attend
from wenmo.seq2seq.base import DecoderState, Memory, Seq2SeqConfig, Seq2SeqModel, padding_mask
from wenmo.seq2seq.source_keys import AttentionMemory, CrossKeys, SelfKeys, TransformerState, beginning

Positive = Annotated[int, Field(ge=1)]
Probability = Annotated[float, Field(ge=0, lt=1)]
Angles = tuple[Tensor, Tensor] | None


class TransformerPairConfig(Seq2SeqConfig):
    """Shape of an encoder-decoder Transformer."""

    architecture: Literal["transformer"] = "transformer"
    encoder_layers: Positive = 4
    """Layers of the encoder."""
    decoder_layers: Positive = 4
    """Layers of the decoder."""
    width: Positive = 128
    """Size of the residual stream."""
    heads: Positive = 4
    """Query heads."""
    kv_heads: Positive = 4
    """Key-value heads of self-attention; divides `heads`."""
    head_size: Positive = 32
    """Size of a head."""
    ffn: Positive = 256
    """Hidden size of the feed-forward network."""
    attention_dropout: Probability = 0.1
    """Dropout of attention weights."""
    ffn_dropout: Probability = 0.1
    """Dropout inside the feed-forward network."""
    positions: Literal["rotary", "sinusoidal"] = "rotary"
    """Rotary angles of queries and keys in self-attention, or sinusoids added to the embeddings."""
    qk_norm: bool = True
    """Norm of each query and key (as the qwen3 layout)."""
    rope_theta: float = 10000.0
    """Base of the rotary wavelengths."""
    norm_epsilon: float = 1e-6
    """Added to the variance in the norms."""
    embedding_scale: Annotated[float, Field(gt=0)] | None = None
    """Factor on the embeddings on their way in; the square root of the width when not given."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads ({self.kv_heads}) must divide heads ({self.heads})")
        if self.head_size % 2 or self.width % 2:
            raise ValueError("head_size and width must be even")
        return self


class _Norms(nn.Module):
    """Root-mean-square norms of queries and keys per head, or nothing."""

    def __init__(self, config: TransformerPairConfig) -> None:
        super().__init__()
        self.query_norm: RMSNorm | None = None
        self.key_norm: RMSNorm | None = None
        if config.qk_norm:
            self.query_norm = RMSNorm(config.head_size, config.norm_epsilon)
            self.key_norm = RMSNorm(config.head_size, config.norm_epsilon)

    def query(self, x: Tensor) -> Tensor:
        """Normalises queries (..., head_size)."""
        return x if self.query_norm is None else self.query_norm(x)

    def key(self, x: Tensor) -> Tensor:
        """Normalises keys (..., head_size)."""
        return x if self.key_norm is None else self.key_norm(x)


class SelfAttention(_Norms):
    """Self-attention with grouped queries; causal when it is given the keys of a decoder."""

    def __init__(self, config: TransformerPairConfig) -> None:
        super().__init__(config)
        self.heads, self.kv_heads, self.head_size = config.heads, config.kv_heads, config.head_size
        self.p = config.attention_dropout
        sizes = (self.heads * self.head_size, self.kv_heads * self.head_size, self.kv_heads * self.head_size)
        self.qkv = nn.Linear(config.width, sum(sizes), bias=False)
        self.qkv.weight.muon_split = sizes  # type: ignore[attr-defined]
        self.out = nn.Linear(sizes[0], config.width, bias=False)

    def forward(self, x: Tensor, angles: Angles, mask: Tensor | None, cache: SelfKeys | None) -> Tensor:
        """Returns what attention adds to x (B, T, width); `cache` holds the keys of earlier tokens and takes these."""
        batch, tokens, _ = x.shape
        heads = self.qkv(x).view(batch, tokens, -1, self.head_size)
        query, key, value = heads.split((self.heads, self.kv_heads, self.kv_heads), dim=2)
        query, key = self.query(query), self.key(key)
        if angles is not None:
            query, key = rotate(query, *angles), rotate(key, *angles)
        query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        if cache is not None:
            key, value = cache.extend(key, value)
        if self.heads != self.kv_heads:
            repeats = self.heads // self.kv_heads
            key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
        mixed, _ = attend(query, key, value, mask, self.p if self.training else 0.0)
        added: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, tokens, -1))
        return added


class CrossAttention(_Norms):
    """Attention of the decoder to the encoder's output."""

    def __init__(self, config: TransformerPairConfig) -> None:
        super().__init__(config)
        self.heads, self.head_size, self.p = config.heads, config.head_size, config.attention_dropout
        size = self.heads * self.head_size
        self.q = nn.Linear(config.width, size, bias=False)
        self.kv = nn.Linear(config.width, 2 * size, bias=False)
        self.kv.weight.muon_split = (size, size)  # type: ignore[attr-defined]
        self.out = nn.Linear(size, config.width, bias=False)

    def keys(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Returns keys and values (B, H, S, head_size) of encoded sources (B, S, width)."""
        batch, size, _ = encoded.shape
        key, value = self.kv(encoded).view(batch, size, 2, self.heads, self.head_size).unbind(2)
        return self.key(key).transpose(1, 2), value.transpose(1, 2)

    def forward(self, x: Tensor, source: CrossKeys) -> tuple[Tensor, Tensor]:
        """Returns what attention adds to x (N, T, width), and its weights (N, H, T, S)."""
        rows, tokens, _ = x.shape
        query = self.query(self.q(x).view(rows, tokens, self.heads, self.head_size)).transpose(1, 2)
        mixed, weights = source.attend(query, attend, self.p if self.training else 0.0)
        added: Tensor = self.out(mixed.transpose(1, 2).reshape(rows, tokens, -1))
        return added, weights


class FeedForward(nn.Module):
    """SwiGLU (Shazeer, 2020)."""

    def __init__(self, config: TransformerPairConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.width, 2 * config.ffn, bias=False)  # gate rows first, then up rows
        self.up.weight.muon_split = (config.ffn, config.ffn)  # type: ignore[attr-defined]
        self.down = nn.Linear(config.ffn, config.width, bias=False)
        self.p = config.ffn_dropout

    def forward(self, x: Tensor) -> Tensor:
        """Returns what the feed-forward network adds to x (B, T, width)."""
        added: Tensor = self.down(dropout(swiglu(self.up(x)), self.p, self.training))
        return added


class Layer(nn.Module):
    """One layer: self-attention, in a decoder attention to the source, feed-forward; each added to the stream."""

    def __init__(self, config: TransformerPairConfig, decoder: bool) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.width, config.norm_epsilon)
        self.attention = SelfAttention(config)
        self.cross_norm = RMSNorm(config.width, config.norm_epsilon) if decoder else None
        self.cross = CrossAttention(config) if decoder else None
        self.ffn_norm = RMSNorm(config.width, config.norm_epsilon)
        self.ffn = FeedForward(config)
        self.p = config.dropout

    def forward(
        self,
        x: Tensor,
        angles: Angles,
        mask: Tensor | None,
        cache: SelfKeys | None = None,
        source: CrossKeys | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Returns the residual stream (B, T, width) after the layer, and the weights of attention to the source."""
        weights = None
        x = x + dropout(self.attention(self.attention_norm(x), angles, mask, cache), self.p, self.training)
        if self.cross is not None and self.cross_norm is not None:
            assert source is not None
            added, weights = self.cross(self.cross_norm(x), source)
            x = x + dropout(added, self.p, self.training)
        return x + dropout(self.ffn(self.ffn_norm(x)), self.p, self.training), weights


class TransformerPairModel(Seq2SeqModel):
    """An encoder-decoder Transformer with one embedding for source, target and output.

    Initialisation (d = width): embedding normal with deviation 1 / sqrt(d), scaled by sqrt(d) on the way in; matrices
    into a sublayer normal with 1 / sqrt(columns); matrices that write to the stream 1 / sqrt(2 L columns) for L layers.

    Args:
        config: Shape.
    """

    architecture: ClassVar[str] = "transformer"
    config: TransformerPairConfig

    def __init__(self, config: TransformerPairConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.encoder = nn.ModuleList(Layer(config, False) for _ in range(config.encoder_layers))
        self.decoder = nn.ModuleList(Layer(config, True) for _ in range(config.decoder_layers))
        self.encoder_norm = RMSNorm(config.width, config.norm_epsilon)
        self.norm = RMSNorm(config.width, config.norm_epsilon)
        self.rotary = RotaryTable(config.head_size, config.rope_theta, 256)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draws the initial weights described above from PyTorch's generator."""
        nn.init.normal_(self.embedding.weight, std=self.config.width**-0.5)
        for layers in (self.encoder, self.decoder):
            for name, weight in layers.named_parameters():
                if weight.ndim == 2:
                    writes = name.endswith(("out.weight", "down.weight"))
                    std = weight.shape[1] ** -0.5
                    nn.init.normal_(weight, std=std / math.sqrt(2 * len(layers)) if writes else std)

    def _embed(self, ids: Tensor, positions: Tensor) -> Tensor:
        x = self.embedding(ids) * (self.config.embedding_scale or math.sqrt(self.config.width))
        if self.config.positions == "sinusoidal":
            x = x + sinusoids(positions, self.config.width).to(x.dtype)
        return dropout(x, self.config.dropout, self.training)

    def _angles(self, positions: Tensor, end: int) -> Angles:
        if self.config.positions != "rotary":
            return None
        cos, sin = self.rotary(positions, end)
        return cos, sin

    def encode(self, ids: Tensor, lengths: Tensor) -> AttentionMemory:
        """See `Seq2SeqModel.encode`."""
        size = ids.shape[1]
        valid = padding_mask(lengths, size)
        bias = torch.zeros(valid.shape, device=ids.device).masked_fill_(~valid, -math.inf)[:, None, None]
        positions = torch.arange(size, device=ids.device)
        x, angles = self._embed(ids, positions), self._angles(positions, size)
        for layer in self.encoder:
            x, _ = layer(x, angles, bias)
        x = self.encoder_norm(x)
        keys = [layer.cross.keys(x) for layer in self.decoder]  # type: ignore[union-attr, operator]
        return AttentionMemory(lengths, keys, bias)

    def start(self, memory: Memory, beams: int = 1) -> TransformerState:
        """See `Seq2SeqModel.start`."""
        assert isinstance(memory, AttentionMemory)
        source, lengths = beginning(memory, beams)
        return TransformerState(lengths, memory, source, beams, 0, tuple(SelfKeys() for _ in memory.keys))

    def decode(
        self, ids: Tensor, state: DecoderState, need_state: bool = True
    ) -> tuple[Tensor, TransformerState | None]:
        """See `Seq2SeqModel.decode`."""
        hidden, new, _ = self._decode(ids, state)
        return hidden, new if need_state else None

    def _decode(self, ids: Tensor, state: DecoderState) -> tuple[Tensor, TransformerState, list[Tensor]]:
        assert isinstance(state, TransformerState)
        read, tokens = state.read, ids.shape[1]
        positions = torch.arange(read, read + tokens, device=ids.device)
        x, angles = self._embed(ids, positions), self._angles(positions, read + tokens)
        mask = None
        if tokens > 1:
            seen = torch.arange(read + tokens, device=ids.device)[None] <= positions[:, None]
            mask = torch.zeros(seen.shape, device=ids.device).masked_fill_(~seen, -math.inf)
        caches = state.caches()
        attended = []
        for layer, cache, source in zip(self.decoder, caches, state.sources(), strict=True):
            x, weights = layer(x, angles, mask, cache, source)
            attended.append(weights)
        return self.norm(x), state.after(caches, tokens), attended

    def attention(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        """See `Seq2SeqModel.attention`.

        The heads of the last layer but one are averaged: it aligns best (Garg et al. 2019, "Jointly learning to align
        and translate with Transformer models").
        """
        _, _, weights = self._decode(target, self.start(self.encode(source, lengths)))
        return weights[max(len(weights) - 2, 0)].mean(1)

    @property
    def output_weight(self) -> Tensor:
        """See `Seq2SeqModel.output_weight`."""
        return self.embedding.weight

    def matrices(self) -> list[nn.Parameter]:
        """See `Seq2SeqModel.matrices`."""
        layers = [*self.encoder.parameters(), *self.decoder.parameters()]
        return [parameter for parameter in layers if parameter.ndim == 2]

    def flops_per_pair(self, source: float, target: float) -> float:
        """See `Seq2SeqModel.flops_per_pair`."""
        c = self.config
        inner = c.heads * c.head_size
        attention = c.width * (2 * inner + 2 * c.kv_heads * c.head_size)
        layer = attention + 3 * c.width * c.ffn
        encoder = c.encoder_layers * (source * layer + 2 * inner * source * source)
        decoder = c.decoder_layers * (target * (layer + 2 * c.width * inner) + 2 * inner * target * target)
        cross = c.decoder_layers * (source * 2 * c.width * inner + 2 * inner * source * target)
        return 2.0 * (encoder + decoder + cross + target * c.width * c.vocab_size)


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """Sines and cosines of positions (Vaswani et al., 2017, section 3.5): (T,) -> (T, width), sines first."""
    exponents = torch.arange(0, width, 2, dtype=torch.float32, device=positions.device) / width
    angles = positions[:, None].float() / 10000.0**exponents
    return torch.cat((angles.sin(), angles.cos()), -1)
