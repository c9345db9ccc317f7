"""The user's questions, from whatever files they have, and plain pairs turned into examples by finding the answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wenmo.answering.examples import Dropped, Example, nearest, read_squad
from wenmo.answering.faq import Stored
from wenmo.errors import InputError
from wenmo.examples import Role, assign_columns, read_table
from wenmo.retrieval.bm25 import Index
from wenmo.text.folding import fold

QUESTION = ("question", "query", "q", "问题", "问", "問題", "提问", "title")
ANSWER = ("answer", "answers", "a", "response", "reply", "答案", "回答", "答", "答复")
CONTEXT = ("context", "passage", "paragraph", "document", "text", "上下文", "原文", "段落", "文章", "材料")
GROUP = ("article", "title", "doc_id", "document_id", "文章编号")


@dataclass
class QuestionData:
    """What was read.

    Attributes:
        examples: Questions with passages.
        pairs: Questions with answers and without a passage.
        dropped: What was left out or mended.
        notes: What was found out, a sentence each.
    """

    examples: list[Example] = field(default_factory=list)
    pairs: list[Stored] = field(default_factory=list)
    dropped: Dropped = field(default_factory=Dropped)
    notes: list[str] = field(default_factory=list)


def read_questions(
    paths: Sequence[str | Path],
    *,
    question_field: str | None = None,
    answer_field: str | None = None,
    context_field: str | None = None,
    encoding: str | None = None,
) -> QuestionData:
    """Reads files in SQuAD's format (.json) and rows with question, answer and perhaps context.

    Raises:
        InputError: When a file cannot be read, or there is no question with an answer in all of them.
        OptionError: When a named column is not there.
    """
    data = QuestionData()
    rows: list[str | Path] = []
    for path in paths:
        if str(path).lower().endswith(".json"):
            data.examples.extend(_squad_file(Path(path), encoding, data.dropped))
        else:
            rows.append(path)
    if rows:
        _read_rows(rows, question_field, answer_field, context_field, encoding, data)
    if not data.examples and not data.pairs:
        lost = "".join(f"; {count} left out: {reason}" for reason, count in data.dropped.counts.items())
        raise InputError(f"{', '.join(map(str, paths))}: there is no question with an answer{lost}")
    return data


def _squad_file(path: Path, encoding: str | None, dropped: Dropped) -> list[Example]:
    try:
        content = path.read_text(encoding or "utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error
    except (UnicodeDecodeError, LookupError) as error:
        raise InputError(
            f"{path} cannot be read as {encoding or 'UTF-8'} ({error}); give --encoding"
        ) from error
    try:
        return read_squad(path, json.loads(content), dropped)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}); JSON lines end in .jsonl") from error


def _read_rows(
    paths: Sequence[str | Path],
    question_field: str | None,
    answer_field: str | None,
    context_field: str | None,
    encoding: str | None,
    data: QuestionData,
) -> None:
    table = read_table(paths, encoding=encoding)
    roles = [
        Role("question", "--question-field", QUESTION),
        Role("answer", "--answer-field", ANSWER),
        Role("context", "--context-field", CONTEXT, required=False),
        Role("group", "--group-field", GROUP, required=False),
    ]
    if table.columns == ("1", "2"):  # two columns without a header
        question_field, answer_field = question_field or "1", answer_field or "2"
    given = {"question": question_field, "answer": answer_field, "context": context_field}
    found, sentence = assign_columns(table, roles, given)
    data.notes.extend([*table.notes, sentence])
    data.dropped.counts.update(table.dropped)
    for row in table.rows:
        question, answers = row.text(found["question"]), _answers(row.values.get(found["answer"]))
        context = str(row.values.get(found["context"]) or "") if "context" in found else ""
        group = row.text(found["group"]) if "group" in found else ""
        if not question:
            data.dropped.add("empty question", row.place)
        elif not answers and not context.strip():
            data.dropped.add("empty answer", row.place)
        elif not context.strip():
            data.pairs.append(Stored(question, answers[0], row.source, row.line))
        else:
            spans = tuple(
                dict.fromkeys(
                    (start, start + len(answer))
                    for answer in answers
                    if (start := nearest(context, answer, 0)) >= 0
                )
            )
            if answers and not spans:
                data.dropped.add("answer not in its passage", row.place)
            else:
                data.examples.append(Example(question, context, spans, group or context, row.place))


def _answers(value: object) -> list[str]:
    """One answer, or several of a JSON list or of the columnar form that SQuAD's tables have."""
    if isinstance(value, dict):
        value = value.get("text")
    items = value if isinstance(value, list | tuple) else [value]
    texts = [item.get("text") if isinstance(item, dict) else item for item in items]
    return [text for item in texts if item is not None and (text := str(item).strip())]


def find_answers(
    pairs: Sequence[Stored], index: Index, dropped: Dropped, passages: int = 10
) -> list[Example]:
    """Turns plain pairs into examples by finding each answer in the passages that its question retrieves.

    Distant supervision (Mintz et al. 2009, for questions Chen et al. 2017): the first retrieved passage that holds the
    answer is taken to say it. A wrong place is possible, and rare where the question finds its passage.

    Args:
        pairs: Questions and answers.
        index: The documents.
        dropped: Counts pairs whose answer is not found.
        passages: Passages that are looked at for each question.
    """
    examples: list[Example] = []
    for pair in pairs:
        wanted = fold(pair.answer)
        for passage in index.search(f"{pair.question} {pair.answer}", passages):
            start = fold(passage.text).find(wanted)
            if start >= 0:
                spans = ((start, start + len(wanted)),)
                place = f"{pair.source}, line {pair.line}" if pair.line else pair.source
                examples.append(Example(pair.question, passage.text, spans, passage.text, place))
                break
        else:
            dropped.add("answer not found in the documents", f"{pair.source}, line {pair.line}")
    return examples
