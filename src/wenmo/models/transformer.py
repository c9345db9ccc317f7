"""The Transformer (Vaswani et al., 2017), in the layouts of Qwen3, Llama and GPT-2.

| layout | norm | positions | queries and keys | feed-forward | biases |
|---|---|---|---|---|---|
| qwen3 | RMSNorm | rotary | RMSNorm per head | SwiGLU | no |
| llama | RMSNorm | rotary | as they are | SwiGLU | no |
| gpt2 | LayerNorm | learned | as they are | GELU (tanh) | yes |
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import torch.nn.functional as F
from torch import Tensor, nn

from wenmo.errors import ModelError
from wenmo.models.base import LanguageModel, ModelConfig, NeuralLanguageModel, State
from wenmo.models.cache import CacheState, Reading
from wenmo.models.dropout import dropout
from wenmo.models.fused import rotate
from wenmo.models.layers import FeedForward, RMSNorm
from wenmo.models.layouts import config_to_hugging_face, from_hugging_face, to_hugging_face
from wenmo.models.rotary import RotaryTable
from wenmo.models.transformer_config import TransformerConfig, count_parameters

__all__ = ["TransformerConfig", "TransformerModel", "count_parameters"]


def _norm(config: TransformerConfig) -> nn.Module:
    if config.layout == "gpt2":
        return nn.LayerNorm(config.width, eps=config.norm_epsilon)
    return RMSNorm(config.width, config.norm_epsilon)


class Attention(nn.Module):
    """Causal self-attention with grouped queries (Ainslie et al., 2023, https://arxiv.org/abs/2305.13245)."""

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.heads, self.kv_heads, self.head_size = config.heads, config.kv_heads, config.head_size
        bias = config.layout == "gpt2"
        sizes = (self.heads * self.head_size, self.kv_heads * self.head_size, self.kv_heads * self.head_size)
        self.qkv = nn.Linear(config.width, sum(sizes), bias=bias)
        self.qkv.weight.muon_split = sizes  # type: ignore[attr-defined]
        self.out = nn.Linear(sizes[0], config.width, bias=bias)
        self.query_norm: RMSNorm | None = None
        self.key_norm: RMSNorm | None = None
        if config.layout == "qwen3":
            self.query_norm = RMSNorm(self.head_size, config.norm_epsilon)
            self.key_norm = RMSNorm(self.head_size, config.norm_epsilon)

    def forward(
        self,
        x: Tensor,
        angles: tuple[Tensor, Tensor] | None,
        reading: Reading,
        extra_values: Tensor | None = None,
    ) -> Tensor:
        """Mixes the values of the tokens before.

        Args:
            x: Normed residual stream (B, T, width).
            angles: Rotary cosines and sines.
            reading: Keys and values of the tokens read before.
            extra_values: Added to the values, (B, T, kv_heads, head_size).

        Returns:
            What attention adds to the residual stream, (B, T, width).
        """
        batch, tokens, _ = x.shape
        heads = self.qkv(x).view(batch, tokens, self.heads + 2 * self.kv_heads, self.head_size)
        query, key, value = heads.split((self.heads, self.kv_heads, self.kv_heads), dim=2)
        if self.query_norm is not None and self.key_norm is not None:
            query, key = self.query_norm(query), self.key_norm(key)
        if angles is not None:
            query, key = rotate(query, *angles), rotate(key, *angles)
        if extra_values is not None:
            value = value + extra_values
        query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        key, value = reading.extend(self.layer, key, value)
        mixed = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=reading.mask,
            is_causal=reading.first and tokens > 1,
            enable_gqa=self.heads != self.kv_heads,
        )
        added: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return added


class Block(nn.Module):
    """One layer: x + attention(norm(x)), then x + feed_forward(norm(x))."""

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm = _norm(config)
        self.attention = Attention(config, layer)
        self.ffn_norm = _norm(config)
        self.ffn = FeedForward(config.width, config.ffn, config.ffn_activation, bias=config.layout == "gpt2")
        self.dropout = config.dropout

    def forward(self, x: Tensor, angles: tuple[Tensor, Tensor] | None, reading: Reading) -> Tensor:
        """Returns the residual stream (B, T, width) after the layer."""
        x = x + self._drop(self.attention(self.attention_norm(x), angles, reading))
        return self._feed_forward(x)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return x + self._drop(self.ffn(self.ffn_norm(x)))

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training)


class TransformerModel(NeuralLanguageModel):
    """A decoder-only Transformer.

    Initialisation (d = width, L = layers; biases 0, norm weights 1):

    | parameter | distribution |
    |---|---|
    | embedding, learned positions, output layer | normal, 0.02 |
    | query, key, value, gate, up | normal, 1 / sqrt(d) |
    | attention output, feed-forward down | normal, 0.02 / sqrt(2 L), as GPT-2 |

    Args:
        config: Shape.
    """

    architecture: ClassVar[str] = "transformer"
    compilable: ClassVar[bool] = True
    config: TransformerConfig

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.position: nn.Embedding | None = None
        self.rotary: RotaryTable | None = None
        if config.layout == "gpt2":
            self.position = nn.Embedding(config.context_length, config.width)
        else:
            self.rotary = RotaryTable(config.head_size, config.rope_theta, config.context_length)
        self.blocks = nn.ModuleList(self._block(layer) for layer in range(config.layers))
        self.final_norm = _norm(config)
        self.output: nn.Linear | None = None
        if not config.tied:
            self.output = nn.Linear(config.width, config.vocab_size, bias=False)
        self._initialise()

    def _block(self, layer: int) -> Block:
        return Block(self.config, layer)

    def _initialise(self) -> None:
        residual = 0.02 / math.sqrt(2 * self.config.layers)
        for name, parameter in self.named_parameters():
            if parameter.dim() < 2:
                if name.endswith("bias"):
                    nn.init.zeros_(parameter)
            elif name.endswith(("attention.out.weight", "ffn.down.weight")):
                nn.init.normal_(parameter, std=residual)
            elif name.startswith("blocks"):
                nn.init.normal_(parameter, std=self.config.width**-0.5)
            else:
                nn.init.normal_(parameter, std=0.02)

    @property
    def max_positions(self) -> int | None:
        """Most tokens a state can hold: learned positions end (gpt2), rotary ones do not (None)."""
        return None if self.position is None else self.position.num_embeddings

    @property
    def output_weight(self) -> Tensor:
        """See `NeuralLanguageModel.output_weight`."""
        return self.embedding.weight if self.output is None else self.output.weight

    def matrices(self) -> list[nn.Parameter]:
        """See `NeuralLanguageModel.matrices`.

        A parameter that stacks several matrices has the attribute `muon_split`, the rows of each of them.
        """
        return [p for p in self.blocks.parameters() if p.dim() == 2]

    def flops_per_token(self, context: int) -> float:
        """See `NeuralLanguageModel.flops_per_token`; a token attends to half of the context on average."""
        c = self.config
        weights = sum(p.numel() for p in self.matrices()) + c.vocab_size * c.width
        return 2.0 * weights + 2.0 * c.layers * c.heads * c.head_size * context

    def config_json(self) -> dict[str, Any]:
        """See `LanguageModel.config_json`: what `transformers` reads."""
        return config_to_hugging_face(self.config)

    def saved_tensors(self) -> dict[str, Tensor]:
        """See `LanguageModel.saved_tensors`: under the names of `transformers`."""
        return to_hugging_face(self.config, super().saved_tensors())

    @classmethod
    def restore(
        cls, config: ModelConfig, tensors: dict[str, Tensor], members: dict[str, LanguageModel]
    ) -> Self:
        """See `LanguageModel.restore`."""
        assert isinstance(config, TransformerConfig)
        model = cls(config)
        model._load(from_hugging_face(config, tensors))
        return model

    def initial_state(self, batch: int) -> CacheState:
        """See `LanguageModel.initial_state`."""
        return CacheState.empty(batch, self.device)

    def hidden(
        self, ids: Tensor, state: State | None = None, lengths: Tensor | None = None, need_state: bool = True
    ) -> tuple[Tensor, CacheState | None]:
        """See `NeuralLanguageModel.hidden`.

        Raises:
            ModelError: When learned positions (gpt2) end before the text does.
        """
        assert state is None or isinstance(state, CacheState)
        shape = (ids.shape[0], ids.shape[1])
        reading = Reading.begin(state, shape, ids.device, keep=need_state)
        end = reading.longest + shape[1]
        x = self._embed(ids, reading, state)
        angles = None
        if self.position is not None:
            x = x + self.position(self._learned(reading, end, state, lengths))
        elif self.rotary is not None:
            angles = self.rotary(reading.positions, end)
        x = dropout(x, self.config.dropout, self.training)
        x = self.final_norm(self._stack(x, ids, angles, reading))
        return x, reading.state(state, shape, lengths) if need_state else None

    def _embed(self, ids: Tensor, reading: Reading, state: CacheState | None) -> Tensor:
        """Returns the input (B, T, width) of the first layer, without positions."""
        embedded: Tensor = self.embedding(ids)
        return embedded

    def _stack(
        self, x: Tensor, ids: Tensor, angles: tuple[Tensor, Tensor] | None, reading: Reading
    ) -> Tensor:
        """Runs the layers over the input x (B, T, width) of the tokens `ids` (B, T)."""
        for block in self.blocks:
            x = block(x, angles, reading)
        return x

    def _learned(
        self, reading: Reading, end: int, state: CacheState | None, lengths: Tensor | None
    ) -> Tensor:
        limit = self.config.context_length
        if end <= limit:
            return reading.positions
        if lengths is not None:
            longest = lengths if state is None else state.lengths + lengths
            if int(longest.max()) <= limit:
                return reading.positions.clamp(max=limit - 1)  # only padding lies beyond
        raise ModelError(
            f"this gpt2 model has {limit} positions and cannot read {end} tokens; give it at most {limit}"
        )
