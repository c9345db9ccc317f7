"""All that a question-answering model is made from: the user's questions, split, and the passages around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from wenmo.answering.data import QuestionData, find_answers, read_questions
from wenmo.answering.examples import Dropped, Example
from wenmo.answering.experiment import mostly_chinese, passage_texts
from wenmo.answering.faq import Stored
from wenmo.answering.pretraining import made_questions
from wenmo.errors import InputError
from wenmo.examples import split_groups
from wenmo.retrieval.bm25 import Index
from wenmo.retrieval.building import IndexBuilder, update_index
from wenmo.retrieval.passages import Piece

RAW = {".txt", ".text", ".md", ".markdown", ".html", ".htm"}
_FEWEST_GROUPS = 10
Fields = tuple[str | None, str | None, str | None]


@dataclass
class Material:
    """What there is to learn from.

    Attributes:
        train: Questions with passages.
        valid: Held out to steer by.
        test: Held out for the score.
        made: Practice questions made from raw text (none of the held-out passages).
        index: All passages and documents.
        stored: For a FAQ: the pairs; else empty.
        stored_valid: Pairs of a FAQ that are not stored.
        stored_test: The same, for the score.
        real: Whether the held-out questions are the user's own, not made ones.
        dropped: What was left out, by reason.
        notes: What was found out, a sentence each.
        signature: How F1 is counted.
    """

    index: Index
    train: list[Example] = field(default_factory=list)
    valid: list[Example] = field(default_factory=list)
    test: list[Example] = field(default_factory=list)
    made: list[Example] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)
    stored_valid: list[Stored] = field(default_factory=list)
    stored_test: list[Stored] = field(default_factory=list)
    real: bool = True
    dropped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    signature: str = ""


def gather_material(
    paths: Sequence[str],
    documents: Sequence[str] = (),
    *,
    held: tuple[Sequence[str], Sequence[str]] = ((), ()),
    fractions: tuple[float, float] = (0.1, 0.1),
    fields: Fields = (None, None, None),
    encoding: str | None = None,
    seed: int = 0,
    faq: bool | None = None,
    made: int = 60_000,
    progress: bool = True,
) -> Material:
    """Reads, splits and makes everything.

    Args:
        paths: Files of questions; files of plain text among them are documents.
        documents: Raw text.
        held: Files of validation and test questions; empty takes shares of the questions.
        fractions: These shares.
        fields: Columns of question, answer and passage, or None.
        encoding: Of all files; detected when None.
        seed: Split and practice questions.
        faq: True stores the pairs; None does where there are neither passages nor documents.
        made: Practice questions at most.
        progress: Whether progress is shown.

    Raises:
        InputError: When something cannot be read, or there is too little to learn from.
        OptionError: When a named column is not there.
    """
    raw = [path for path in paths if Path(path).suffix.lower() in RAW]
    files = [path for path in paths if path not in raw]
    documents = [*documents, *raw]
    read = partial(_read, fields=fields, encoding=encoding)
    data = read(files) if files else QuestionData()
    store = faq if faq is not None else not data.examples and not documents
    if store:
        return _faq_material(data, [read(names).pairs if names else [] for names in held], fractions, seed)
    index = update_index(documents, None, encoding=encoding, progress=progress)[0] if documents else None
    parts = [
        _with_passages(part, index)
        for part in (data, *(read(names) if names else QuestionData() for names in held))
    ]
    train, valid, test = (part.examples for part in parts)
    material = Material(index=_all_passages(index, [*train, *valid, *test]))
    for part in parts:
        material.notes.extend(part.notes)
        material.notes.extend(
            f"left out: {reason} (first in {places[0]})" for reason, places in part.dropped.places.items()
        )
        if part.dropped.mended:
            material.notes.append(
                f"{part.dropped.mended:,} answers stand elsewhere than their file says; the nearest place was taken"
            )
        for reason, count in part.dropped.counts.items():
            material.dropped[reason] = material.dropped.get(reason, 0) + count
    train = _distinct(train, material.dropped)
    if not train and not index:
        raise InputError(
            f"{paths[0]}: the questions have no passages; name the files that the answers stand in with --documents, "
            "or take --mode faq"
        )
    if not train:
        _only_made(material, made, fractions, seed)
    else:
        _split(material, train, (valid, test), fractions, seed)
        hidden = {example.context for example in [*material.valid, *material.test]}
        texts = [text for text in passage_texts(material.index) if text not in hidden]
        material.made = made_questions(texts, made, seed)
    if not material.test or not (material.train or material.made):
        raise InputError(
            f"{len(train)} questions are too few to learn from and to hold some out; give 10 or more, or name files "
            "with --valid and --test"
        )
    material.signature = (
        "characters, longest common substring (CMRC 2018)"
        if mostly_chinese(material.test)
        else "words (SQuAD)"
    )
    return material


def _read(names: Sequence[str], *, fields: Fields, encoding: str | None) -> QuestionData:
    question, answer, context = fields
    return read_questions(
        names, question_field=question, answer_field=answer, context_field=context, encoding=encoding
    )


def _with_passages(data: QuestionData, index: Index | None) -> QuestionData:
    """Gives plain pairs the passages that their answers stand in."""
    if data.pairs and index is not None:
        data.examples.extend(find_answers(data.pairs, index, data.dropped))
    elif data.pairs:
        data.dropped.add("no passage given, and no --documents to look in", data.pairs[0].source)
        data.dropped.counts["no passage given, and no --documents to look in"] = len(data.pairs)
    return data


def _distinct(examples: list[Example], dropped: dict[str, int]) -> list[Example]:
    kept = list({(e.question, e.context): e for e in reversed(examples)}.values())[::-1]
    if len(kept) < len(examples):
        dropped["the same question about the same passage"] = len(examples) - len(kept)
    return kept


def _all_passages(documents: Index | None, examples: Sequence[Example]) -> Index:
    builder = IndexBuilder()
    known: set[str] = set()
    if documents is not None:
        known.update(passage_texts(documents))
        for file in range(len(documents.facts["files"])):
            builder.take(documents, file)
    by_source: dict[str, dict[str, None]] = {}
    for example in examples:
        if example.context not in known:
            by_source.setdefault(example.place, {})[example.context] = None
            known.add(example.context)
    for source, contexts in by_source.items():
        builder.add(source, "", (Piece(context, 0, 0) for context in contexts))
    return builder.index({})


def _split(
    material: Material,
    examples: list[Example],
    given: tuple[list[Example], list[Example]],
    fractions: tuple[float, float],
    seed: int,
) -> None:
    groups = [example.group or example.context for example in examples]
    if len(set(groups)) < _FEWEST_GROUPS:
        groups = [example.context for example in examples]
    if len(set(groups)) < _FEWEST_GROUPS:
        groups = [example.question for example in examples]
        material.notes.append(
            "fewer than ten passages: questions about one passage stand on both sides of the split, so the scores "
            "flatter"
        )
    shares = [0.0 if part else share for part, share in zip(given, fractions, strict=True)]
    split = split_groups(groups, valid=shares[0], test=shares[1], seed=seed)
    material.train = [examples[place] for place in split.train]
    material.valid = given[0] or [examples[place] for place in split.valid]
    material.test = given[1] or [examples[place] for place in split.test] or material.valid


def _only_made(material: Material, most: int, fractions: tuple[float, float], seed: int) -> None:
    """Without any real question: practice questions to learn from, and others to hold out."""
    examples = made_questions(passage_texts(material.index), most, seed)
    split = split_groups([e.context for e in examples], valid=fractions[0], test=fractions[1], seed=seed)
    material.made = [examples[place] for place in split.train]
    material.valid = [examples[place] for place in split.valid][:600]
    material.test = [examples[place] for place in split.test][:600]
    material.real = False
    material.notes.append(
        f"there are no questions: {len(material.made):,} are made from the text, and the scores are of such questions"
    )


def _faq_material(
    data: QuestionData, held: list[list[Stored]], fractions: tuple[float, float], seed: int
) -> Material:
    pairs = data.pairs + [Stored(e.question, e.texts[0], e.source) for e in data.examples if e.answers]
    kept = list({(pair.question, pair.answer): pair for pair in reversed(pairs)}.values())[::-1]
    dropped: Dropped = data.dropped
    if len(kept) < len(pairs):
        dropped.counts["the same question and answer"] += len(pairs) - len(kept)
    if not kept:
        raise InputError("there is no question with an answer to store")
    material = Material(index=IndexBuilder().index({}), dropped=dict(dropped.counts), notes=data.notes)
    # Only a question whose answer is stored under another wording can be asked in a fair way.
    wordings: dict[str, list[int]] = {}
    for number, pair in enumerate(kept):
        wordings.setdefault(pair.answer, []).append(number)
    spare = [number for numbers in wordings.values() for number in numbers[1:]]
    split = split_groups(
        [kept[number].question for number in spare], valid=fractions[0], test=fractions[1], seed=seed
    )
    valid = {spare[place] for place in split.valid} if not held[0] else set()
    test = {spare[place] for place in split.test} if not held[1] else set()
    material.stored = [pair for number, pair in enumerate(kept) if number not in valid | test]
    material.stored_valid = held[0] or [kept[number] for number in sorted(valid)]
    material.stored_test = held[1] or [kept[number] for number in sorted(test)]
    return material
