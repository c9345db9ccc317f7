"""Networks that turn tokens into one vector for a text: a language model's hidden states, or convolutions.

Both are pooled alike: maximum, mean and last hidden vector of the text, side by side (Howard & Ruder 2018, Universal
language model fine-tuning; the convolutions have no last one).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from wenmo.config import Settings
from wenmo.models.base import LanguageModel, NeuralLanguageModel

EOS = 0
Ids = npt.NDArray[np.int64]


class Encoder(nn.Module, ABC):
    """Hidden vectors of tokens."""

    width: int
    """Size D of a hidden vector."""
    window: int
    """Most tokens read at once."""
    pools: int
    """How many vectors are pooled: 3 (maximum, mean, last) or 2 (maximum, mean)."""

    @abstractmethod
    def hidden(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Hidden vectors (B, T, D) of right-padded ids, int64 (B, T); undefined at padding."""

    @abstractmethod
    def depths(self) -> list[list[nn.Parameter]]:
        """Parameters by depth, from the output down to the embedding; every parameter once."""

    @abstractmethod
    def embedding(self) -> nn.Embedding:
        """The layer that looks tokens up."""

    def embedded_time_first(self) -> list[bool]:
        """For each time that `hidden` looks the tokens up: whether the result is (T, B, E) instead of (B, T, E)."""
        return [False]

    def forward(self, texts: Sequence[Ids]) -> Tensor:
        """Pooled vectors float32 (len(texts), pools * D) of texts given as ids."""
        pieces = [windows(ids, self.window) for ids in texts]
        owner = torch.tensor([index for index, parts in enumerate(pieces) for _ in parts])
        flat = [part for parts in pieces for part in parts]
        ids, lengths = padded(flat)
        hidden = self.hidden(ids, lengths).float()
        inside = (torch.arange(ids.shape[1]) < lengths[:, None])[:, :, None]
        highest = hidden.masked_fill(~inside, -torch.inf).amax(dim=1)
        total = (hidden * inside).sum(dim=1)
        count = lengths.float()
        last = hidden[torch.arange(len(flat)), lengths - 1] if self.pools == 3 else None
        if len(flat) > len(texts):
            rows = owner[:, None].expand_as(highest)
            shape = (len(texts), self.width)
            highest = highest.new_full(shape, -torch.inf).scatter_reduce(0, rows, highest, "amax")
            total = total.new_zeros(shape).index_add(0, owner, total)
            count = count.new_zeros(len(texts)).index_add(0, owner, count)
            if last is not None:
                ends = torch.tensor(np.cumsum([len(parts) for parts in pieces]) - 1)
                last = last[ends]
        pooled = [highest, total / count[:, None]]
        return torch.cat([*pooled, *([] if last is None else [last])], dim=1)


def windows(ids: Ids, length: int) -> list[Ids]:
    """Cuts ids into windows that each begin with the end-of-text token, at least one."""
    step = length - 1
    return [
        np.concatenate([[EOS], ids[begin : begin + step]]).astype(np.int64)
        for begin in range(0, max(len(ids), 1), step)
    ]


def padded(texts: Sequence[Ids]) -> tuple[Tensor, Tensor]:
    """Right-pads ids with 0: int64 (B, T), and their lengths (B,)."""
    lengths = np.array([len(ids) for ids in texts])
    ids = np.zeros((len(texts), int(lengths.max())), np.int64)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = text
    return torch.from_numpy(ids), torch.from_numpy(lengths)


class LanguageModelEncoder(Encoder):
    """The hidden states of a language model.

    Args:
        model: The language model; it is changed when this is trained.
        longest: Most tokens of a text (a recurrent model reads them in one go, a Transformer in windows).
    """

    pools = 3

    def __init__(self, model: NeuralLanguageModel, longest: int) -> None:
        super().__init__()
        self.model = model
        self.recurrent = hasattr(model, "recurrent_layers")
        self.window = longest + 1 if self.recurrent else min(model.context_length, longest + 1)
        with torch.no_grad():
            self.width = int(
                model.hidden(torch.zeros(1, 1, dtype=torch.int64), need_state=False)[0].shape[-1]
            )

    def hidden(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """See `Encoder.hidden`. Padding comes after the text, so a causal model needs no lengths."""
        return self.model.hidden(ids, need_state=False)[0]

    def embedding(self) -> nn.Embedding:
        """See `Encoder.embedding`."""
        return next(m for m in self.model.modules() if isinstance(m, nn.Embedding))

    def embedded_time_first(self) -> list[bool]:
        """See `Encoder.embedded_time_first`; recurrent models read time first."""
        return [self.recurrent]

    def depths(self) -> list[list[nn.Parameter]]:
        """See `Encoder.depths`: what stands above the layers, each layer from the top, the embeddings."""
        found: list[list[nn.Parameter]] = []
        taken: set[int] = set()
        stacks = [list(m) for m in self.model.modules() if isinstance(m, nn.ModuleList)]
        layers = max(stacks, key=len, default=[])
        low = [m for m in self.model.modules() if isinstance(m, nn.Embedding)]
        below = {id(p) for module in [*layers, *low] for p in module.parameters()}
        groups = [
            [p for p in self.model.parameters() if id(p) not in below],
            *(list(layer.parameters()) for layer in reversed(layers)),
            [p for module in low for p in module.parameters()],
        ]
        for group in groups:
            fresh = [p for p in group if id(p) not in taken]
            taken |= {id(p) for p in fresh}
            if fresh:
                found.append(fresh)
        return found


class ConvolutionSettings(Settings):
    """Shape of a convolutional encoder."""

    vocab_size: int
    """Number of tokens."""
    embedding: int = 96
    """Size of a token's vector."""
    channels: int = 96
    """Channels of each kernel width."""
    kernels: tuple[int, ...] = (2, 3, 4)
    """Kernel widths in tokens."""
    dropout: float = 0.3
    """Dropout of the embedded tokens."""


class ConvolutionalEncoder(Encoder):
    """Convolutions of several widths over embedded tokens (Kim 2014), and the embeddings themselves.

    Args:
        settings: Its shape.
        longest: Most tokens of a text.
    """

    pools = 2

    def __init__(self, settings: ConvolutionSettings, longest: int) -> None:
        super().__init__()
        self.settings = settings
        self.window = longest + 1
        self.width = settings.embedding + settings.channels * len(settings.kernels)
        self.table = nn.Embedding(settings.vocab_size, settings.embedding)
        nn.init.normal_(self.table.weight, std=0.1)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(settings.embedding, settings.channels, kernel) for kernel in settings.kernels
        )
        self.dropout = nn.Dropout1d(settings.dropout)  # whole tokens

    def hidden(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """See `Encoder.hidden`; position t sees the tokens up to t, so padding after the text changes nothing."""
        embedded = self.dropout(self.table(ids))
        across = embedded.transpose(1, 2)
        found = [embedded, *(convolved(across, layer) for layer in self.convolutions)]
        return torch.cat(found, dim=2)

    def embedding(self) -> nn.Embedding:
        """See `Encoder.embedding`."""
        return self.table

    def depths(self) -> list[list[nn.Parameter]]:
        """See `Encoder.depths`; all at one depth, for nothing was learned before."""
        return [list(self.parameters())]


class CombinedEncoder(LanguageModelEncoder):
    """Convolutions over the embeddings of a language model, and over its hidden states.

    Args:
        model: The language model; it is changed when this is trained.
        longest: Most tokens of a text.
        settings: Shape of the convolutions; `embedding` is the size of the model's embedding.
    """

    pools = 2

    def __init__(self, model: NeuralLanguageModel, longest: int, settings: ConvolutionSettings) -> None:
        super().__init__(model, longest)
        self.settings = settings
        self.convolutions = nn.ModuleList(
            nn.Conv1d(settings.embedding, settings.channels, kernel) for kernel in settings.kernels
        )
        self.reading = nn.Conv1d(self.width, settings.channels, _PAIR)
        self.dropout = nn.Dropout1d(settings.dropout)
        self.width = settings.embedding + settings.channels * (len(settings.kernels) + 1)

    def hidden(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """See `Encoder.hidden`."""
        embedded = self.dropout(self.embedding()(ids))
        across = embedded.transpose(1, 2)
        found = [embedded, *(convolved(across, layer) for layer in self.convolutions)]
        read = self.model.hidden(ids, need_state=False)[0]
        return torch.cat([*found, convolved(read.transpose(1, 2), self.reading)], dim=2)

    def depths(self) -> list[list[nn.Parameter]]:
        """See `Encoder.depths`."""
        own = [*self.convolutions.parameters(), *self.reading.parameters()]
        return [own, *super().depths()]

    def embedded_time_first(self) -> list[bool]:
        """See `Encoder.embedded_time_first`."""
        return [False, *super().embedded_time_first()]


_PAIR = 2


def convolved(across: Tensor, layer: nn.Module) -> Tensor:
    """ReLU of a convolution whose output at t sees the tokens up to t: (B, channels, T) to (B, T, channels)."""
    assert isinstance(layer, nn.Conv1d)
    found = layer(nn.functional.pad(across, (layer.kernel_size[0] - 1, 0)))
    return torch.relu(found).transpose(1, 2)


def neural_member(model: LanguageModel) -> NeuralLanguageModel | None:
    """The largest neural model in a language model: itself, or a member of a mixture; None without one."""
    if isinstance(model, NeuralLanguageModel):
        return model
    found = [neural_member(member) for member in model.saved_members().values()]
    neural = [member for member in found if member is not None]
    return max(neural, key=lambda member: member.num_parameters(), default=None)
