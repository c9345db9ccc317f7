"""How good the answers are: their likelihood, and written ones beside people's and beside copied ones."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wenmo.config import GenerationSettings
from wenmo.conversation.batches import answer_nats
from wenmo.conversation.encoding import Example, encode_conversations, encode_plain
from wenmo.conversation.messages import Conversation, split_prompt
from wenmo.conversation.session import ChatSession
from wenmo.errors import InputError
from wenmo.models.base import LanguageModel
from wenmo.progress import track
from wenmo.tokenization.tokenizer import END_OF_TURN, Tokenizer

MOST_COMPARED, COMPARED_CHARACTERS = 20_000, 300
"""Training prompts among which the nearest is looked for, and how much of the end of each counts."""


@dataclass(frozen=True)
class Likelihood:
    """How well answers are predicted; their ends are not counted.

    Attributes:
        bits_per_byte: Bits for each UTF-8 byte of the answers.
        perplexity: Per token; comparable between models that share a tokenizer only.
    """

    bits_per_byte: float
    perplexity: float


def chat_likelihood(
    model: LanguageModel, tokenizer: Tokenizer, conversations: Sequence[Conversation], context: int
) -> Likelihood:
    """Scores the answers of conversations as the chat template writes them."""
    examples = sorted(encode_conversations(tokenizer, conversations, context).examples, key=len)
    end = tokenizer.special_tokens[END_OF_TURN]
    nats = [
        scores[example.ids[1:][example.answers] != end]
        for example, scores in zip(examples, answer_nats(model, examples), strict=True)
    ]
    return _likelihood(nats, examples)


def plain_likelihood(
    model: LanguageModel, tokenizer: Tokenizer, conversations: Sequence[Conversation], context: int
) -> Likelihood:
    """Scores the answers of conversations as plain text, one message a line: for a model that knows no roles."""
    examples = sorted(encode_plain(tokenizer, conversations, context), key=len)
    return _likelihood(answer_nats(model, examples), examples)


def _likelihood(nats: Sequence[npt.NDArray[np.float64]], examples: Sequence[Example]) -> Likelihood:
    joined = np.concatenate(nats)
    total = float(joined.sum())
    num_bytes = max(sum(example.num_bytes for example in examples), 1)
    mean = total / max(len(joined), 1)
    return Likelihood(total / math.log(2.0) / num_bytes, math.exp(mean) if mean < 709 else math.inf)


@dataclass(frozen=True)
class Written:
    """An answer that a model wrote, beside the one a person gave.

    Attributes:
        prompt: The last thing said before it.
        text: What the model wrote.
        reference: What the person wrote.
        ended: Whether the model ended it itself.
    """

    prompt: str
    text: str
    reference: str
    ended: bool


def write_answers(
    model: LanguageModel,
    tokenizer: Tokenizer,
    conversations: Sequence[Conversation],
    settings: GenerationSettings,
    *,
    seconds: float,
    most: int,
    progress: bool,
) -> list[Written]:
    """Lets a model answer the last question of conversations, as many as the time allows, at least two.

    Args:
        model: The fine-tuned model, in evaluation mode.
        tokenizer: Its tokenizer.
        conversations: Held-out conversations.
        settings: How to write; the number of the conversation is the seed.
        seconds: Time for it.
        most: Most answers.
        progress: Whether to show a progress line.
    """
    written: list[Written] = []
    session = ChatSession(model, tokenizer, settings)
    started = time.monotonic()
    chosen = conversations[:: max(1, len(conversations) // most)][:most]
    with track("writing answers", float(len(chosen)), "answers", progress) as bar:
        for seed, conversation in enumerate(chosen):
            if len(written) >= 2 and time.monotonic() - started > seconds:
                break
            bar.advance()
            system, history, question = split_prompt(conversation.prompt)
            session.settings = settings.model_copy(update={"seed": seed})
            session.restart(system, history)
            try:
                text = "".join(session.reply(question))
            except InputError:  # longer than the context
                continue
            ended = session.last.finish_reason == "stop"
            written.append(Written(question, text.strip(), conversation.messages[-1].content, ended))
    return written


def answer_tokens(tokenizer: Tokenizer, conversations: Sequence[Conversation]) -> int:
    """Tokens that nearly all answers have, for a limit: one and a half times the 95th percentile, at least 16."""
    answers = [answer for conversation in conversations for answer in conversation.answers]
    sample = answers[:: max(1, len(answers) // 2_000)]
    lengths = [len(ids) for ids in tokenizer.encode_batch(sample)]
    return max(16, round(1.5 * float(np.percentile(lengths, 95))))


def nearest_answers(prompts: Sequence[str], train: Sequence[Conversation]) -> list[str]:
    """Returns for each prompt the answer to the most similar question of the training conversations.

    Similar is what shares many and rare character pairs: the cosine of tf-idf vectors. This is the answer of somebody
    who only copies.

    Args:
        prompts: Questions.
        train: Conversations to copy from; `MOST_COMPARED` from all over them are looked at.
    """
    known = train[:: max(1, -(-len(train) // MOST_COMPARED))]
    postings: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for number, conversation in enumerate(known):
        for pair, count in Counter(_pairs(conversation.prompt[-1].content)).items():
            postings[pair].append((number, count))
    rarity = {pair: math.log((1 + len(known)) / (1 + len(found))) + 1.0 for pair, found in postings.items()}
    norms = np.zeros(len(known))
    for pair, found in postings.items():
        for number, count in found:
            norms[number] += (rarity[pair] * (1.0 + math.log(count))) ** 2
    norms = np.sqrt(np.maximum(norms, 1e-12))
    answers: list[str] = []
    for prompt in prompts:
        scores = np.zeros(len(known))
        for pair, times in Counter(_pairs(prompt)).items():
            for number, count in postings.get(pair, ()):
                weight = (1.0 + math.log(times)) * (1.0 + math.log(count))
                scores[number] += rarity[pair] ** 2 * weight
        answers.append(known[int(np.argmax(scores / norms))].messages[-1].content)
    return answers


def _pairs(text: str) -> Iterator[str]:
    """Pairs of neighbouring characters of a text with its white space made single."""
    plain = f" {' '.join(text[-COMPARED_CHARACTERS:].lower().split())} "
    return (plain[start : start + 2] for start in range(len(plain) - 1))
