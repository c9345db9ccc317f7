"""The reader: from a question and a passage to a probability for every span, and for "no answer".

Two layers of bidirectional LSTM over the passage with attention to the question in between, as in Chen et al. 2017
and Seo et al. 2017, but small, with many given features, and with one softmax over all spans at once (Lee et al. 2017,
"Learning Recurrent Span Representations") in which "no answer" is one more choice.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from wenmo.answering.features import NAMES
from wenmo.answering.vocabulary import ENDING_BUCKETS, WORD_BUCKETS

MASKED = -1e4


class ReaderConfig(BaseModel):
    """Shape of a reader."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocab_size: int
    """Units known, padding and unknown included."""
    unit_size: int = 64
    """Numbers for a unit."""
    word_size: int = 32
    """Numbers for the word a unit belongs to."""
    ending_size: int = 16
    """Numbers for a word's ending."""
    hidden: int = 64
    """Hidden units of each direction of an LSTM."""
    max_span: int = 64
    """Longest answer, in units."""
    outside: int = 0
    """Numbers a language model gives for each unit; 0 without one."""
    dropout: float = 0.3
    """Share of the numbers between layers that is dropped in training."""


class Batch(NamedTuple):
    """Questions with passages, padded: B rows, L passage units, M question units.

    Attributes:
        passage: Ids int64 (B, L, 3), 0 is padding.
        passage_features: float32 (B, L, features).
        passage_lengths: int64 (B,).
        question: Ids int64 (B, M, 3).
        question_features: float32 (B, M, features).
        question_lengths: int64 (B,).
        passage_outside: What a language model says, float32 (B, L, D), or None.
        question_outside: float32 (B, M, D), or None.
    """

    passage: Tensor
    passage_features: Tensor
    passage_lengths: Tensor
    question: Tensor
    question_features: Tensor
    question_lengths: Tensor
    passage_outside: Tensor | None = None
    question_outside: Tensor | None = None


class _Bidirectional(nn.Module):
    """An LSTM in each direction; the backward one starts at the last valid unit, so padding changes nothing."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.forwards = nn.LSTM(inputs, hidden, batch_first=True)
        self.backwards = nn.LSTM(inputs, hidden, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, L, inputs) to (B, L, 2 hidden)."""
        places = torch.arange(x.shape[1], device=x.device)
        turned = torch.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)
        index = turned[:, :, None]
        backwards, _ = self.backwards(x.gather(1, index.expand(-1, -1, x.shape[2])))
        forwards, _ = self.forwards(x)
        return torch.cat([forwards, backwards.gather(1, index.expand(-1, -1, backwards.shape[2]))], 2)


class Spans(NamedTuple):
    """Unnormalised log-probabilities of the spans: [b, i, w] is the span of w + 1 units from unit i on.

    Attributes:
        scores: float32 (B, L, W); MASKED where a span leaves the passage.
        nothing: Score of "no answer", float32 (B,).
    """

    scores: Tensor
    nothing: Tensor

    def log_total(self) -> Tensor:
        """Logarithm of the normaliser, float32 (B,)."""
        return torch.logaddexp(self.scores.flatten(1).logsumexp(1), self.nothing)


class ReaderNetwork(nn.Module):
    """See the module.

    Args:
        config: Shape.
    """

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        self.config = config
        size, features = 2 * config.hidden, len(NAMES)
        self.units = nn.Embedding(config.vocab_size, config.unit_size, padding_idx=0)
        self.words = nn.Embedding(WORD_BUCKETS, config.word_size, padding_idx=0)
        self.endings = nn.Embedding(ENDING_BUCKETS, config.ending_size, padding_idx=0)
        for table in (self.units, self.words, self.endings):
            nn.init.normal_(table.weight, std=0.1)
            with torch.no_grad():
                table.weight[0] = 0
        lexical = config.unit_size + config.word_size + config.ending_size
        self.outside = nn.Linear(config.outside, config.unit_size) if config.outside else None
        lexical += config.unit_size if config.outside else 0
        self.align = nn.Linear(lexical, size)
        self.enter_question = nn.Linear(lexical + features, size)
        self.enter_passage = nn.Linear(2 * lexical + features, size)
        self.read_question = _Bidirectional(size, config.hidden)
        self.read_passage = _Bidirectional(size, config.hidden)
        self.pool = nn.Linear(size, 1)
        self.match_passage = nn.Linear(size, size)
        self.match_question = nn.Linear(size, size)
        self.fuse = nn.Linear(4 * size + features, size)
        self.read_both = _Bidirectional(size, config.hidden)
        self.ask = nn.Linear(size, 2 * size)
        self.start = nn.Linear(size + features, 1)
        self.end = nn.Linear(size + features, 1)
        self.left = nn.Linear(size, 16)
        self.right = nn.Linear(size, 16)
        self.lengths = nn.Parameter(-torch.arange(config.max_span) / 20)
        self.marks = nn.Parameter(torch.tensor([-0.5, -0.2]))
        self.none = nn.Linear(2 * size + features, 1)

    def _lexical(self, ids: Tensor, outside: Tensor | None) -> Tensor:
        parts = [self.units(ids[..., 0]), self.words(ids[..., 1]), self.endings(ids[..., 2])]
        if self.outside is not None:
            assert outside is not None
            parts.append(torch.tanh(self.outside(outside)))
        return self._drop(torch.cat(parts, -1))

    def _drop(self, x: Tensor) -> Tensor:
        """Drops whole columns of (B, L, D), the same at every place (Gal & Ghahramani 2016)."""
        if not self.training or not self.config.dropout:
            return x
        keep = 1 - self.config.dropout
        return x * torch.empty(x.shape[0], 1, x.shape[2], device=x.device).bernoulli_(keep).div_(keep)

    def forward(self, batch: Batch) -> Spans:
        """Scores every span of at most `max_span` units."""
        p_features, q_features = batch.passage_features, batch.question_features
        q_valid = (
            torch.arange(batch.question.shape[1], device=batch.question.device)
            < batch.question_lengths[:, None]
        )
        p_valid = (
            torch.arange(batch.passage.shape[1], device=batch.passage.device) < batch.passage_lengths[:, None]
        )
        bias = torch.zeros(q_valid.shape, device=q_valid.device).masked_fill(~q_valid, MASKED)[:, None]
        p, q = (
            self._lexical(batch.passage, batch.passage_outside),
            self._lexical(batch.question, batch.question_outside),
        )
        similar = torch.relu(self.align(p)) @ torch.relu(self.align(q)).mT / self.align.out_features**0.5
        aligned = (similar + bias).softmax(2) @ q
        x = torch.relu(self.enter_passage(torch.cat([p, aligned, p_features], 2)))
        y = torch.relu(self.enter_question(torch.cat([q, q_features], 2)))
        y = self._drop(self.read_question(self._drop(y), batch.question_lengths))
        x = self._drop(self.read_passage(self._drop(x), batch.passage_lengths))
        asked = (self.pool(y).mT + bias).softmax(2) @ y  # (B, 1, 2 hidden)
        similar = self.match_passage(x) @ self.match_question(y).mT / x.shape[2] ** 0.5
        found = (similar + bias).softmax(2) @ y
        fused = torch.cat([x, found, x * found, x * asked, p_features], 2)
        m = self._drop(torch.relu(self.fuse(fused)))
        m = self._drop(self.read_both(m, batch.passage_lengths)) + x
        at_start, at_end = self.ask(asked).chunk(2, 2)
        start = self.start(torch.cat([m, p_features], 2)).squeeze(2) + (m * at_start).sum(2)
        end = self.end(torch.cat([m, p_features], 2)).squeeze(2) + (m * at_end).sum(2)
        scores = self._spans(m, start, end, p_features, p_valid)
        peak = m.masked_fill(~p_valid[:, :, None], MASKED).amax(1)
        best = p_features.amax(1)
        nothing = self.none(torch.cat([peak, asked.squeeze(1), best], 1)).squeeze(1)
        # Spans number thousands, so the scale of their sum goes with the passage's length, and "no answer" with it.
        return Spans(scores, nothing + batch.passage_lengths.float().log())

    def _spans(self, m: Tensor, start: Tensor, end: Tensor, features: Tensor, valid: Tensor) -> Tensor:
        width = min(self.config.max_span, m.shape[1])
        ends = torch.cat([end.masked_fill(~valid, MASKED), end.new_full((len(end), width - 1), MASKED)], 1)
        # Marks and question words inside an answer are rare: their numbers, from sums up to each unit.
        inside = torch.stack([features[:, :, NAMES.index(name)] for name in ("mark", "match")], 1)
        sums = F.pad(inside.cumsum(2), (1, width - 1), mode="constant", value=0)
        after = sums[:, :, 1:].unfold(2, width, 1)
        before = sums[:, :, : m.shape[1], None]
        counted = (torch.clamp(after - before, 0, 8) * self.marks[None, :, None, None]).sum(1)
        # All pairs of start and end in one product, of which the band of possible spans is then a strided view.
        table = F.pad(self.left(m) @ self.right(m).mT / 4, (0, width))
        rows, length, wide = table.shape
        pairs = table.as_strided((rows, length, width), (length * wide, wide + 1, 1))
        scores = start[:, :, None] + ends.unfold(1, width, 1) + pairs + self.lengths[:width] + counted
        return scores.masked_fill(~valid[:, :, None], MASKED)
