"""The whole course of fine-tuning: read, split, score before, train, score after, write and compare."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wenmo.config import GenerationSettings
from wenmo.conversation.finetuning import FineTuned, FineTuningSettings, fine_tune
from wenmo.conversation.forms import Form
from wenmo.conversation.judging import (
    Likelihood,
    Written,
    answer_tokens,
    chat_likelihood,
    nearest_answers,
    plain_likelihood,
    write_answers,
)
from wenmo.conversation.messages import Conversation
from wenmo.conversation.mixing import NGRAM_BYTES_PER_SECOND, count_conversations, mix_in
from wenmo.conversation.reading import Conversations, read_conversations
from wenmo.conversation.starting import open_base
from wenmo.conversation.template import SPECIAL_TOKENS
from wenmo.errors import InputError
from wenmo.evaluation.diversity import Diversity, cut_alike, measure_diversity
from wenmo.evaluation.overlap import chrf
from wenmo.examples import split_groups
from wenmo.models.base import LanguageModel
from wenmo.models.mixture import MixtureModel

LEAST_CONVERSATIONS = 10
FINISH_SECONDS = 4.0
"""Saving, diversity, comparing with copies."""
WRITING_SHARE, LONGEST_WRITING = 0.08, 40.0
"""Share of the budget for writing answers to compare, and most seconds of it."""
MOST_WRITTEN = 32
COUNTING_SHARE = 0.03
"""Share of the budget for the n-gram baseline, and as much again for looking for copies."""
SEARCHED_PER_SECOND = 1_000_000
"""Characters of training answers in which copies are looked for in a second, for the model and for people."""
SCORED_TOKENS_PER_SECOND = 150
"""Tokens of the test conversations that are scored for each second of the budget."""


@dataclass(frozen=True)
class Reading:
    """How the examples are read and held out.

    Attributes:
        paths: Files of examples.
        valid: Files of examples to steer by; a share of `paths` when empty.
        test: Files of examples for the score; a share of `paths` when empty.
        valid_fraction: That share.
        test_fraction: That share.
        encoding: Of all files; detected when None.
        prompt: Template of the prompt; guessed when None.
        answer: Column of the answer; guessed when None.
        system: System message of conversations that have none.
        seed: Seed of the split.
    """

    paths: Sequence[str]
    valid: Sequence[str] = ()
    test: Sequence[str] = ()
    valid_fraction: float = 0.1
    test_fraction: float = 0.1
    encoding: str | None = None
    prompt: str | None = None
    answer: str | None = None
    system: str | None = None
    seed: int = 0


@dataclass
class Sides:
    """Conversations to learn from and held out.

    Attributes:
        train: To learn from.
        valid: To steer by.
        test: For the score.
        form: How rows became conversations; None for lists of messages.
        dropped: Reason -> rows left out.
    """

    train: list[Conversation]
    valid: list[Conversation]
    test: list[Conversation]
    form: Form | None
    dropped: Counter[str]

    @property
    def system(self) -> str:
        """The system message that all training conversations share; "" when they do not."""
        first = {each.messages[0] for each in self.train}
        message = next(iter(first))
        return message.content if len(first) == 1 and message.role == "system" else ""

    @property
    def turns(self) -> bool:
        """Whether any training conversation has more than one answer."""
        return any(len(each.answers) > 1 for each in self.train)


@dataclass
class Course:
    """What a course of fine-tuning gives.

    Attributes:
        tuned: The neural model and how it was trained.
        model: What is saved: this model, or its mixture with an n-gram model of the conversations.
        sides: The conversations.
        generation: How it writes by default.
        after: Likelihood of the test answers under it.
        alone: The same under the neural member of a mixture; None when there is none.
        before: The same under the model it began with; None for a new model.
        ngram: The same under an n-gram model of the training conversations.
        written: Answers it wrote to test conversations.
        chrf: chrF2 of these against people's answers.
        nearest_chrf: chrF2 of the answers to the most similar training questions.
        diversity: Of what it wrote.
        human: Of people's answers to the same questions, at equal length.
        searched: Copies were looked for in every so manyth training answer.
    """

    tuned: FineTuned
    model: LanguageModel
    sides: Sides
    generation: GenerationSettings
    after: Likelihood
    alone: Likelihood | None
    before: Likelihood | None
    ngram: Likelihood
    written: list[Written] = field(default_factory=list)
    chrf: float = 0.0
    nearest_chrf: float = 0.0
    diversity: Diversity | None = None
    human: Diversity | None = None
    searched: int = 1


def run_course(
    reading: Reading,
    from_model: Path | None,
    settings: FineTuningSettings,
    *,
    mixed: bool,
    directory: Path,
    budget: float,
    left: Callable[[], float],
    say: Callable[[str], None],
    progress: bool,
) -> Course:
    """Fine-tunes a model on conversations and judges it on others.

    Args:
        reading: What is read and held out.
        from_model: Folder of the model to begin with; None for a new one.
        settings: How to train.
        mixed: Whether an n-gram model of the conversations is mixed in where that helps.
        directory: Folder of the unfinished run.
        budget: Seconds for everything.
        left: Returns the seconds that are left.
        say: Told what is found out and decided.
        progress: Whether to show progress.

    Raises:
        WenmoError: For whatever a user can mend.
        Interrupted: After Ctrl-C during training; the checkpoint is saved.
    """
    base = None if from_model is None else open_base(from_model)
    sides = read_sides(reading, say)
    if base is not None and base.note:
        say(base.note)
    test = _within(sides.test, SCORED_TOKENS_PER_SECOND * budget)
    begun = left()
    before = None
    if base is not None:
        knows_roles = set(SPECIAL_TOKENS) <= set(base.tokenizer.special_tokens)
        likelihood = chat_likelihood if knows_roles else plain_likelihood
        before = likelihood(base.model, base.tokenizer, test, base.model.context_length)
    scoring = begun - left() if base is not None else 0.03 * budget
    writing = min(WRITING_SHARE * budget, LONGEST_WRITING)
    size = sum(len(message.content.encode()) for each in sides.train for message in each.messages)
    counting = min(COUNTING_SHARE * budget, 1.0 + size / NGRAM_BYTES_PER_SECOND)
    searching = min(COUNTING_SHARE * budget, 0.5 + size / SEARCHED_PER_SECOND)
    reserve = FINISH_SECONDS + 4.0 * scoring + writing + counting + searching
    tuned = fine_tune(
        sides.train, sides.valid, base, settings,
        directory=directory, seconds=lambda: max(left() - reserve, 1.0), say=say, progress=progress,
    )  # fmt: skip
    tokenizer, context = tuned.tokenizer, tuned.context
    ngram = count_conversations(tokenizer, sides.train, seconds=counting, progress=progress)
    mixture = None
    if mixed:
        steering = _within(sides.valid, SCORED_TOKENS_PER_SECOND * budget)
        mixture = mix_in(tuned.model, ngram, tokenizer, steering, context)
        said = "would not lower the held-out loss and is left out"
        if mixture is not None:
            said = f"is mixed in, with a weight of {_share_of_ngram(mixture):.0%} on average"
        say(f"an n-gram model of the conversations {said}")
    neural = chat_likelihood(tuned.model, tokenizer, test, context)
    course = Course(
        tuned=tuned,
        model=tuned.model if mixture is None else mixture,
        sides=sides,
        generation=GenerationSettings(max_tokens=min(answer_tokens(tokenizer, sides.train), context)),
        after=neural if mixture is None else chat_likelihood(mixture, tokenizer, test, context),
        alone=None if mixture is None else neural,
        before=before,
        ngram=chat_likelihood(ngram, tokenizer, test, context),
    )
    writing = max(min(writing, left() - searching - FINISH_SECONDS), 1.0)
    _write_and_compare(course, writing, searching, progress)
    return course


def read_sides(reading: Reading, say: Callable[[str], None]) -> Sides:
    """Reads the examples and holds some out; conversations that ask the same stay on one side.

    Where more ask the same than a side may hold (a few instructions for everything), these are held out one by one;
    equal conversations still stay together.

    Raises:
        InputError: When there are too few conversations.
    """
    found = _read(reading, reading.paths)
    for note in found.notes:
        say(note)
    conversations, dropped = found.found, found.dropped
    steering = 0.0 if reading.valid else reading.valid_fraction
    scoring = 0.0 if reading.test else reading.test_fraction
    most = len(conversations) * min((share for share in (steering, scoring) if share), default=1.0)
    sides = split_groups(_groups(conversations, most), valid=steering, test=scoring, seed=reading.seed)
    train = [conversations[index] for index in sides.train]
    valid = [conversations[index] for index in sides.valid]
    test = [conversations[index] for index in sides.test]
    if reading.valid:
        valid = _other_side(reading, reading.valid, train, "valid", dropped)
    if reading.test:
        test = _other_side(reading, reading.test, train, "test", dropped)
    if len(train) + len(valid) + len(test) < LEAST_CONVERSATIONS or not valid:
        raise InputError(
            f"only {len(conversations):,} conversations with an answer were found, and some must be held out; give at "
            f"least {LEAST_CONVERSATIONS} different ones, better hundreds"
        )
    say(
        f"{len(train):,} conversations to learn from, {len(valid):,} to steer by, {len(test or valid):,} to score"
    )
    return Sides(train, valid, test or valid, found.form, dropped)


def _read(reading: Reading, paths: Sequence[str]) -> Conversations:
    return read_conversations(
        paths,
        encoding=reading.encoding,
        prompt=reading.prompt,
        answer=reading.answer,
        system=reading.system,
    )


def _other_side(
    reading: Reading, paths: Sequence[str], train: list[Conversation], name: str, dropped: Counter[str]
) -> list[Conversation]:
    """Conversations of files of their own; those that also stand in the training files are left out."""
    read = _read(reading, paths)
    known = {each.messages for each in train}
    kept = [each for each in read.found if each.messages not in known]
    for reason, count in read.dropped.items():
        dropped[reason] += count
    if len(kept) < len(read.found):
        dropped[f"a {name} conversation that is also learned from"] += len(read.found) - len(kept)
    if not kept:
        raise InputError(
            f"--{name}: every conversation of {', '.join(paths)} is also learned from; give others"
        )
    return kept


def _groups(conversations: Sequence[Conversation], most: float) -> list[Hashable]:
    """What keeps conversations together: their questions, or all of them where more than `most` ask the same."""
    questions = [tuple(m.content for m in each.messages if m.role == "user") for each in conversations]
    asked = Counter(questions)
    return [
        question if asked[question] <= most else each.messages
        for question, each in zip(questions, conversations, strict=True)
    ]


def _within(conversations: list[Conversation], tokens: float) -> list[Conversation]:
    """Conversations from all over the list, about as many as have this many tokens (of three bytes)."""
    total = sum(len(message.content.encode()) for each in conversations for message in each.messages) / 3
    return conversations[:: max(1, round(total / max(tokens, 1.0)))]


def _share_of_ngram(mixture: MixtureModel) -> float:
    """Mean weight of the n-gram model over the buckets of contexts."""
    return float(mixture.weights[:, list(mixture.members).index("ngram")].mean())


def _write_and_compare(course: Course, writing: float, searching: float, progress: bool) -> None:
    tuned, sides = course.tuned, course.sides
    course.written = write_answers(
        course.model, tuned.tokenizer, sides.test, course.generation,
        seconds=writing, most=MOST_WRITTEN, progress=progress,
    )  # fmt: skip
    references = [each.reference for each in course.written]
    course.chrf = chrf([each.text for each in course.written], references)
    copies = nearest_answers([each.prompt for each in course.written], sides.train)
    course.nearest_chrf = chrf(copies, references)
    own, people = cut_alike([each.text for each in course.written], references)
    sources = [answer for each in sides.train for answer in each.answers]
    course.searched = max(1, math.ceil(sum(map(len, sources)) / (SEARCHED_PER_SECOND * searching)))
    sources = sources[:: course.searched]
    try:
        course.diversity = measure_diversity(own, sources)
        course.human = measure_diversity(people, sources)
    except ValueError:  # nothing but punctuation, or nothing at all, was written
        course.diversity = course.human = None
