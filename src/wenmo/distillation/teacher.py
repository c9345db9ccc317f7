"""The teacher: what a model, or all members of a mixture together, would say of every token of a text.

Neural members are asked as they are: their training stopped when held-out loss did. An n-gram member is not, since it
has counted the text (see `counting`). The weights are fitted on held-out text, where the n-gram model learns on from
what it has predicted, as it does when it makes the targets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wenmo.distillation.targets import Targets
from wenmo.errors import ModelError
from wenmo.models.base import LanguageModel, NeuralLanguageModel
from wenmo.models.likelihood import LOGITS, score_stream, windows
from wenmo.models.mixing_weights import fit_gate
from wenmo.models.ngram import NgramModel


@dataclass(frozen=True)
class Teacher:
    """The members of a model, with weights for making targets.

    Attributes:
        readers: Name -> member that is trained by gradients, whose distribution is computed whole.
        ngram: The n-gram member, of which only the shape is used; None without one.
        ngram_name: Its name.
        left_out: Names of members that are not asked: a second n-gram model, which would count the same text, and
            kinds that may have memorised the text and cannot be asked as if they had not.
        weights: float64 (buckets, members): the readers in order, then the n-gram model; a bucket for each number of
            contexts that the n-gram model knows before a token, or a single one.
    """

    readers: dict[str, LanguageModel]
    ngram: NgramModel | None
    weights: npt.NDArray[np.float64]
    ngram_name: str = "ngram"
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: LanguageModel, held_out: npt.NDArray[np.integer], eos_id: int) -> Teacher:
        """Takes a model apart and fits the weights of its members.

        Args:
            model: Any model; the members of mixtures inside a mixture are taken one by one.
            held_out: Tokens that no member was trained on (N,).
            eos_id: The token that stands before them.

        Raises:
            ModelError: When no member can teach.
        """
        members = dict(_members(model, model.architecture))
        grams = {name: member for name, member in members.items() if isinstance(member, NgramModel)}
        readers = {name: member for name, member in members.items() if member.trainable}
        kept = [*readers, *list(grams)[:1]]
        if not kept:
            raise ModelError(f"a model of the kind {model.architecture} cannot be distilled")
        ngram_name = kept[-1] if grams else "ngram"
        nats = [score_stream(member, held_out, eos_id=eos_id) for member in readers.values()]
        buckets, count = np.zeros(len(held_out), np.int64), 1
        if grams:
            learning, buckets = grams[ngram_name].scan(held_out, True, eos_id)
            count = grams[ngram_name].num_contexts + 1
            nats.append(learning)
        weights = fit_gate(np.stack(nats), buckets, count)
        left_out = tuple(name for name in members if name not in kept)
        return cls(readers, grams.get(ngram_name), weights, ngram_name, left_out)

    def mean_weights(self, known: npt.NDArray[np.integer]) -> dict[str, float]:
        """Mean weight of each member over tokens before which so many contexts were known (N,)."""
        names = [*self.readers, *([self.ngram_name] if self.ngram is not None else [])]
        means = self.weights[known].mean(0)
        return {name: float(value) for name, value in zip(names, means, strict=True)}


def _members(model: LanguageModel, name: str) -> Iterator[tuple[str, LanguageModel]]:
    """The single models inside a model, those of inner mixtures as OUTER/INNER."""
    inner = model.saved_members()
    if not inner:
        yield name, model
    for own, member in inner.items():
        for path, single in _members(member, own):
            yield path if single is member else f"{own}/{path}", single


def write_block(
    teacher: Teacher,
    ids: npt.NDArray[np.integer],
    start: int,
    end: int,
    eos_id: int,
    counted: Targets | None,
    known: npt.NDArray[np.uint8] | None,
    targets: Targets,
) -> None:
    """Writes the likeliest tokens of the mixture at the places from `start` to `end` of a stream.

    Args:
        teacher: The teacher, with at least one reader.
        ids: The token stream (N,).
        start: First place.
        end: Place after the last one.
        eos_id: The token that stands before the stream.
        counted: What the n-gram model expects; None without one.
        known: Contexts that it knew before each token (N,); None without one.
        targets: Receives the likeliest tokens. May be `counted`.
    """
    reach = max(reader.context_length for reader in teacher.readers.values()) // 2
    first = max(start - reach, 0)
    before = eos_id if first == 0 else int(ids[first - 1])
    text = np.append(before, np.asarray(ids[first:end], np.int64))
    places = targets.top.shape[1]
    sizes = max(1, LOGITS // next(iter(teacher.readers.values())).vocab_size)
    read = {name: _Reading(reader, text) for name, reader in teacher.readers.items()}
    for low in range(start, end, sizes):
        high = min(low + sizes, end)
        row = np.zeros(high - low, np.int64) if known is None else known[low:high].astype(np.int64)
        weights = torch.from_numpy(teacher.weights[row]).float()
        joint = torch.zeros(())
        for member, reading in enumerate(read.values()):
            joint = joint + weights[:, member, None] * reading.probabilities(low - first, high - first)
        if counted is not None:
            top, probabilities = counted.of(np.arange(low, high))
            joint = _with_counts(
                joint, weights[:, -1], torch.from_numpy(top), torch.from_numpy(probabilities)
            )
        likeliest, named = joint.topk(places)
        targets.write(low, named.numpy(), likeliest.numpy())


class _Reading:
    """A member's hidden vectors (or, where it has none, its logits) for a stretch of text."""

    def __init__(self, model: LanguageModel, text: npt.NDArray[np.int64]) -> None:
        self._model = model
        self._text = torch.from_numpy(text)
        self._vectors = self._read()

    @torch.no_grad()
    def _read(self) -> Tensor:
        """Vectors of all places in order (n, D), each read from at least half of the context where there is so much."""
        model = self._model.eval()
        length = len(self._text) - 1
        context = min(model.context_length, length)
        parts = []
        layout = torch.from_numpy(windows(length, context))
        for batch in layout.split(max(1, LOGITS // (4 * model.vocab_size * context) + 1)):  # type: ignore[no-untyped-call]
            place = batch[:, :1] + torch.arange(context)
            scored = torch.arange(context) >= batch[:, 1:]
            inputs = self._text[place].to(model.device)
            if isinstance(model, NeuralLanguageModel):
                found, _ = model.hidden(inputs, need_state=False)
            else:
                found, _ = model(inputs)
            parts.append(found.cpu()[scored])
        return torch.cat(parts)

    @torch.no_grad()
    def probabilities(self, low: int, high: int) -> Tensor:
        """Distributions at places of the stretch, float32 (high - low, V), on the CPU."""
        vectors = self._vectors[low:high]
        if isinstance(self._model, NeuralLanguageModel):
            weight = self._model.output_weight
            vectors = vectors.to(weight.device, weight.dtype) @ weight.T
        return vectors.float().softmax(-1).cpu()


def _with_counts(joint: Tensor, share: Tensor, top: Tensor, probabilities: Tensor) -> Tensor:
    """Adds the n-gram model to the weighted sum of the others.

    It names only its likeliest tokens; the rest of its probability goes to the other tokens in the proportions in which
    the other members see them.

    Args:
        joint: Weighted sum of the other members' probabilities (n, V).
        share: Weight of the n-gram model (n,).
        top: The tokens it names (n, K).
        probabilities: Their probabilities (n, K); 0 where none is named.
    """
    named = probabilities > 0
    others = joint.scatter(1, top, torch.where(named, 0.0, joint.gather(1, top)))
    rest = share * (1.0 - probabilities.sum(1)).clamp_min(0.0)
    scale = rest / others.sum(1).clamp_min(1e-9)
    return (joint + others * scale[:, None]).scatter_add(1, top, probabilities * share[:, None])
