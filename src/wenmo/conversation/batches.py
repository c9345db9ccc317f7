"""Batches of conversations: one in a row, so that none sees another whatever the architecture, padded at its end."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from wenmo.conversation.encoding import Example
from wenmo.models.base import LanguageModel, NeuralLanguageModel
from wenmo.models.likelihood import LOGITS
from wenmo.models.mixture import MixtureModel
from wenmo.models.ngram import NgramModel
from wenmo.training.batches import Batch

SORTED_BATCHES = 16
"""Batches whose conversations are sorted by length together: rows of one batch are then of nearly one length."""


def pad(examples: Sequence[Example], pad_id: int) -> Batch:
    """Returns examples as one batch, as wide as the longest of them; padding counts nothing."""
    width = max(map(len, examples))
    inputs = np.full((len(examples), width), pad_id, np.int64)
    targets = np.full((len(examples), width), pad_id, np.int64)
    weights = np.zeros((len(examples), width), np.float32)
    for row, example in enumerate(examples):
        length = len(example)
        inputs[row, :length], targets[row, :length] = example.ids[:-1], example.ids[1:]
        weights[row, :length] = example.answers
    return Batch(torch.from_numpy(inputs), torch.from_numpy(targets), torch.from_numpy(weights))


def group(lengths: Sequence[int], tokens: int) -> list[slice]:
    """Cuts consecutive rows into batches of at most `tokens` tokens, padding included; a longer row stands alone."""
    groups: list[slice] = []
    start = longest = 0
    for position, length in enumerate(lengths):
        longest = max(longest, length)
        if position > start and longest * (position + 1 - start) > tokens:
            groups.append(slice(start, position))
            start, longest = position, length
    return [*groups, slice(start, len(lengths))]


class ConversationBatches:
    """Endless batches, each conversation once per epoch, in an order that is a pure function of (seed, epoch).

    Args:
        examples: The conversations, at least one, each with an answer.
        tokens: Most tokens of a batch, padding included, unless one conversation is longer.
        seed: Seed of the order.
        pad_id: Token that fills rows up.
    """

    def __init__(self, examples: Sequence[Example], *, tokens: int, seed: int, pad_id: int = 0) -> None:
        if not examples:
            raise ValueError("no conversations to train on")
        self._examples = examples
        self._lengths = np.array([len(example) for example in examples])
        self._tokens = tokens
        self._seed = seed
        self._pad_id = pad_id
        self.epoch = self.batch = 0
        self._load_epoch()

    @property
    def batches_per_epoch(self) -> int:
        """Batches of this pass over the conversations."""
        return len(self._batches)

    @property
    def epochs_done(self) -> float:
        """Passes over the conversations so far."""
        return self.epoch + self.batch / len(self._batches)

    @property
    def padding(self) -> float:
        """Share of this epoch's tokens that are padding."""
        padded = sum(int(self._lengths[rows].max()) * len(rows) for rows in self._batches)
        return 1.0 - float(self._lengths.sum()) / padded

    def state(self) -> dict[str, int]:
        """Position, for a checkpoint."""
        return {"epoch": self.epoch, "batch": self.batch}

    def restore(self, state: dict[str, int]) -> None:
        """Goes to a position that `state` returned."""
        self.epoch, self.batch = state["epoch"], state["batch"]
        self._load_epoch()

    def next(self) -> Batch:
        """Returns the next batch."""
        if self.batch == len(self._batches):
            self.epoch, self.batch = self.epoch + 1, 0
            self._load_epoch()
        rows = self._batches[self.batch]
        self.batch += 1
        return pad([self._examples[row] for row in rows], self._pad_id)

    def _load_epoch(self) -> None:
        generator = np.random.default_rng([self._seed, self.epoch])
        order = generator.permutation(len(self._examples))
        mean = max(float(self._lengths.mean()), 1.0)
        stretch = max(1, round(SORTED_BATCHES * self._tokens / mean))
        batches: list[npt.NDArray[np.int64]] = []
        for start in range(0, len(order), stretch):
            part = order[start : start + stretch]
            part = part[np.argsort(self._lengths[part], kind="stable")]
            batches += [part[rows] for rows in group(self._lengths[part].tolist(), self._tokens)]
        self._batches = [batches[index] for index in generator.permutation(len(batches))]


class HeldOutAnswers:
    """Conversations that a training run is judged by: the mean loss of their answers' tokens.

    Args:
        examples: The conversations, at least one.
        tokens: Most tokens read at once.
        pad_id: Token that fills rows up.
    """

    def __init__(self, examples: Sequence[Example], *, tokens: int = 8192, pad_id: int = 0) -> None:
        self._examples = sorted(examples, key=len)
        self._tokens = tokens
        self._pad_id = pad_id
        self._counted = sum(int(example.answers.sum()) for example in examples)
        self._num_bytes = max(sum(example.num_bytes for example in examples), 1)

    def loss(self, model: NeuralLanguageModel) -> float:
        """Mean loss in nats per answer token; the model is left in training mode."""
        model.eval()
        nats = sum(
            float(each.sum()) for each in answer_nats(model, self._examples, self._tokens, self._pad_id)
        )
        model.train()
        return nats / max(self._counted, 1)

    def bits_per_byte(self, loss: float) -> float:
        """A loss in nats per answer token as bits per UTF-8 byte of the answers; their ends are charged."""
        return loss / math.log(2.0) * self._counted / self._num_bytes


def answer_nats(
    model: LanguageModel, examples: Sequence[Example], tokens: int = 8192, pad_id: int = 0
) -> list[npt.NDArray[np.float64]]:
    """Returns the negative log-likelihood of every answer token of each example, float64 (answer tokens,), in nats.

    Each conversation is read by itself, from its beginning. An n-gram model (or member of a mixture) stays frozen.

    Args:
        model: Any language model, in evaluation mode.
        examples: Conversations; those of one length next to each other cost the least padding.
        tokens: Most tokens read at once.
        pad_id: Token that fills rows up.
    """
    if isinstance(model, NgramModel):
        return [nats for nats, _ in _counted(model, examples)]
    if isinstance(model, MixtureModel) and not model.logistic:
        members, buckets = member_nats(model, examples, tokens, pad_id)
        ends = np.cumsum([int(example.answers.sum()) for example in examples])[:-1]
        return list(np.split(model.mix_linear(members, buckets, False), ends))
    scores: list[npt.NDArray[np.float64]] = []
    with torch.no_grad():
        for rows in group([len(example) for example in examples], tokens) if examples else []:
            batch = pad(examples[rows], pad_id)
            assert batch.weights is not None
            inputs, targets = batch.inputs.to(model.device), batch.targets.to(model.device)
            counted = batch.weights.to(model.device) > 0
            nats = _nats(model, inputs, targets, counted).double().cpu().numpy()
            sizes = batch.weights.sum(1).long().tolist()
            scores += np.split(nats, np.cumsum(sizes)[:-1])
    return scores


def member_nats(
    model: MixtureModel, examples: Sequence[Example], tokens: int = 8192, pad_id: int = 0
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Scores the answer tokens of conversations, one after another, with every member of a mixture.

    Returns:
        Nats under each member, float64 (M, N), and the bucket of every token, int64 (N,), as
        `MixtureModel.mix_linear` and `mixing_weights.fit_gate` take them.
    """
    nats: list[npt.NDArray[np.float64]] = []
    buckets: npt.NDArray[np.int64] | None = None
    for member in model.saved_members().values():
        if isinstance(member, NgramModel):
            counted = _counted(member, examples)
            nats.append(np.concatenate([each for each, _ in counted]))
            if buckets is None:  # the first n-gram member is the gate
                buckets = np.concatenate([contexts for _, contexts in counted])
        else:
            nats.append(np.concatenate(answer_nats(member, examples, tokens, pad_id)))
    return np.stack(nats), np.zeros(nats[0].shape, np.int64) if buckets is None else buckets


def _counted(
    model: NgramModel, examples: Sequence[Example]
) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]]:
    """Nats of the answer tokens of each example, and how many contexts were known before each."""
    found = []
    for example in examples:
        nats, known = model.scan(example.ids[1:], False, int(example.ids[0]))
        found.append((nats[example.answers], known[example.answers]))
    return found


def _nats(
    model: LanguageModel, inputs: torch.Tensor, targets: torch.Tensor, counted: torch.Tensor
) -> torch.Tensor:
    wanted = targets[counted]
    if not isinstance(model, NeuralLanguageModel):
        pieces = [
            torch.nn.functional.cross_entropy(model(row[None])[0][0][mask], target[mask], reduction="none")
            for row, target, mask in zip(inputs, targets, counted, strict=True)
        ]
        return torch.cat(pieces)
    hidden, _ = model.hidden(inputs, need_state=False)
    vectors = hidden[counted]
    weight = model.output_weight.to(vectors.dtype)
    step = max(1, LOGITS // model.vocab_size)
    chunks = zip(vectors.split(step), wanted.split(step), strict=True)  # type: ignore[no-untyped-call]
    losses = [
        torch.nn.functional.cross_entropy((part @ weight.T).float(), target, reduction="none")
        for part, target in chunks
    ]
    return torch.cat(losses) if losses else hidden.new_zeros(0)
