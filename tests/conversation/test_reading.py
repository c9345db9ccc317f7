import json

import pytest

from wenmo.conversation.reading import read_conversations
from wenmo.errors import InputError

GOOD = {"messages": [{"role": "user", "content": "在吗？"}, {"role": "assistant", "content": "在。"}]}


def write(path, *lines):
    path.write_text(
        "\n".join(x if isinstance(x, str) else json.dumps(x, ensure_ascii=False) for x in lines), "utf-8"
    )
    return path


def test_every_row_that_is_left_out_is_counted_with_its_reason_and_place(tmp_path):
    lines = [GOOD] * 16 + ["{broken"]
    lines += [{"messages": [{"role": "user", "content": "?"}]}, {"text": "x"}, {"messages": "x"}]
    found = read_conversations([write(tmp_path / "chat.jsonl", *lines)])
    assert len(found.found) == 1 and found.form is None
    assert found.dropped == {
        "broken JSON": 1,
        "a repeated conversation": 15,
        "a conversation without an answer": 1,
        "the field 'messages' is missing": 1,
        "no list of messages": 1,
    }
    assert any("broken JSON" in note and "line 17" in note for note in found.notes)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_forms_are_read_from_every_kind_of_table(tmp_path, suffix):
    rows = [
        {"标题": "春天", "正文": "花开了，\n草绿了。" if suffix != "tsv" else "花开了，草绿了。"},
        {"标题": "Autumn", "正文": "Leaves, falling"},
    ]
    path = tmp_path / f"rows.{suffix}"
    if suffix == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == "jsonl":
        write(path, *rows)
    else:
        import csv

        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="," if suffix == "csv" else "\t")
            writer.writerows([["标题", "正文"], *(row.values() for row in rows)])
    found = read_conversations([path])
    assert [[m.content for m in c.messages] for c in found.found] == [list(row.values()) for row in rows]
    assert found.form is not None and found.form.answer == "正文"
    assert any("标题" in note for note in found.notes)


def test_a_system_message_is_added_where_there_is_none(tmp_path):
    own = {"messages": [{"role": "system", "content": "own"}, *GOOD["messages"]]}
    found = read_conversations([write(tmp_path / "a.jsonl", GOOD, own)], system="简短")
    assert [c.messages[0].content for c in found.found] == ["简短", "own"]


def test_nothing_to_learn_from_is_said_with_the_reasons(tmp_path):
    with pytest.raises(InputError, match=r"no conversation.*1 rows: an unknown role 'x'"):
        read_conversations([write(tmp_path / "a.jsonl", {"messages": [{"role": "x", "content": "y"}]})])
