"""An n-gram model of the conversations, and its mixture with the fine-tuned model: one generalises, one remembers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from wenmo.conversation.batches import member_nats
from wenmo.conversation.encoding import encode_conversations
from wenmo.conversation.messages import Conversation
from wenmo.models.base import NeuralLanguageModel
from wenmo.models.mixing_weights import fit_gate
from wenmo.models.mixture import MixtureModel
from wenmo.models.ngram import NgramConfig, NgramModel
from wenmo.progress import track
from wenmo.tokenization.tokenizer import Tokenizer

NGRAM_BYTES_PER_SECOND = 300_000
"""Speed of counting on one slow core."""
NGRAM_CONTEXT = 16
"""Context length written into the n-gram model, which remembers fewer tokens than any neural member."""
LEAST_GAIN = 0.005
"""A mixture that needs not even this share of bits less on held-out answers is not worth its slower writing."""
WHOLE = 1 << 30


def count_conversations(
    tokenizer: Tokenizer, train: Sequence[Conversation], *, seconds: float = math.inf, progress: bool = False
) -> NgramModel:
    """Counts all that is said, questions too, with the special tokens of the template.

    Args:
        tokenizer: With the chat template.
        train: Conversations.
        seconds: Time for it; conversations from all over `train` are counted where it is short.
        progress: Whether to show a progress line.
    """
    size = sum(len(message.content.encode()) for each in train for message in each.messages)
    every = 1 if math.isinf(seconds) else max(1, math.ceil(size / (NGRAM_BYTES_PER_SECOND * seconds)))
    known = encode_conversations(tokenizer, train[::every], WHOLE).examples
    model = NgramModel(NgramConfig(vocab_size=tokenizer.vocab_size, context_length=NGRAM_CONTEXT))
    ids = np.concatenate([each.ids for each in known])
    with track("n-gram model", float(len(ids)), "tokens", progress) as bar:
        model.fit(ids, tokenizer.token_bytes, progress=bar)
    return model


def mix_in(
    model: NeuralLanguageModel,
    ngram: NgramModel,
    tokenizer: Tokenizer,
    held_out: Sequence[Conversation],
    context: int,
) -> MixtureModel | None:
    """Mixes the two with weights fitted on answers that neither was trained on.

    Args:
        model: The fine-tuned model.
        ngram: From `count_conversations`.
        tokenizer: Of both.
        held_out: Conversations that steered the training.
        context: Tokens of a conversation that the neural model reads.

    Returns:
        The mixture; None when it gains less than `LEAST_GAIN`.
    """
    if model.vocab_size != ngram.vocab_size:  # a foreign model with more rows than its tokenizer has tokens
        return None
    mixture = MixtureModel.of({model.architecture: model, "ngram": ngram})
    examples = sorted(encode_conversations(tokenizer, held_out, context).examples, key=len)
    nats, buckets = member_nats(mixture, examples)
    mixture.weights.copy_(torch.from_numpy(fit_gate(nats, buckets, len(mixture.weights))))
    alone, together = nats[0].sum(), mixture.mix_linear(nats, buckets, False).sum()
    return mixture if together < (1.0 - LEAST_GAIN) * alone else None
