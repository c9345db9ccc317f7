"""Rows of every kind of file, with their place, and nothing lost silently."""

import gzip
import json

import pytest

from wenmo.errors import InputError
from wenmo.examples import read_table

ROWS = [{"text": "天气很好，心情也好。", "label": "好"}, {"text": 'Rain, "again".', "label": "坏"}]


def write(path, kind):
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), "utf-8")
    elif kind == "csv":
        path.write_text('text,label\n天气很好，心情也好。,好\n"Rain, ""again"".",坏\n', "utf-8")
    elif kind == "tsv":
        path.write_text('text\tlabel\n天气很好，心情也好。\t好\nRain, "again".\t坏\n', "utf-8")
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(ROWS), path)
    return path


@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv", "parquet"])
def test_every_kind_gives_the_same_rows(tmp_path, kind):
    table = read_table([write(tmp_path / f"rows.{kind}", kind)])
    assert table.columns == ("text", "label")
    assert [row.values for row in table.rows] == ROWS
    assert not table.plain
    assert table.rows[1].place.endswith(f"rows.{kind}, line {3 if kind in ('csv', 'tsv') else 2}")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb18030"])
def test_encodings_are_found(tmp_path, encoding):
    path = tmp_path / "rows.csv"
    content = "text,label\n" + "".join(
        f"今天第{i}次去图书馆，天气很好，大家都很高兴。,好\n" for i in range(20)
    )
    path.write_bytes(content.encode(encoding))
    assert len(read_table([path]).rows) == 20
    assert read_table([path]).rows[0].text("text").startswith("今天")


def test_plain_text_has_a_row_for_each_line(tmp_path):
    path = tmp_path / "lines.txt.gz"
    path.write_bytes(gzip.compress("第一行\r\n\r\n second line \n".encode()))
    table = read_table([path])
    assert [(row.text("text"), row.line) for row in table.rows] == [("第一行", 1), ("second line", 3)]
    assert table.plain


def test_a_table_without_header_has_numbered_columns(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("1,房间很大，很干净。\n0,Too loud at night.\n".replace("，", ";"), "utf-8")
    table = read_table([path])
    assert table.columns == ("1", "2") and table.rows[0].text("1") == "1" and table.rows[0].line == 1
    assert read_table([path], header=True).columns[0] == "1"
    assert len(read_table([path], header=True).rows) == 1


def test_cells_may_hold_line_breaks(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('text,label\n"one\ntwo",a\nthree,b\n', "utf-8")
    rows = read_table([path]).rows
    assert [(row.text("text"), row.line) for row in rows] == [("one\ntwo", 2), ("three", 4)]


def test_what_cannot_be_read_is_counted_with_its_first_place(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "好"}\n{"text": \n17\n{"text": "fine"}\n{"text": "x"\n', "utf-8")
    table = read_table([path])
    assert [row.text("text") for row in table.rows] == ["好", "fine"]
    assert table.dropped == {"broken JSON": 2, "a JSON line that is neither an object nor a list": 1}
    assert any("broken JSON" in note and "line 2" in note for note in table.notes)


def test_missing_and_null_cells_are_empty(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": null, "n": 3}\n{"other": ["a", "乙"]}\n', "utf-8")
    first, second = read_table([path]).rows
    assert (first.text("text"), first.text("n"), second.text("text")) == ("", "3", "")
    assert second.text("other") == '["a", "乙"]'


def test_a_row_with_too_many_cells_is_counted(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,label\none,a\ntwo,b,c\nthree,a\n", "utf-8")
    table = read_table([path])
    assert len(table.rows) == 2 and table.dropped == {"a row with more than 2 cells": 1}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.csv", b"", "no rows"),
        ("blank.txt", b"\n \n", "no rows"),
        ("broken.jsonl", b"{\n{\n", "2 lines: broken JSON"),
        ("page.html", b"<p>x</p>", "web page"),
        ("twice.csv", b"text,text\na,b\n", "two columns are named 'text'"),
        ("binary.csv", b"\x89PNG\x00\x01", "binary"),
        ("bad.parquet", b"PAR1nothing", "Parquet"),
    ],
)
def test_what_holds_no_rows_is_refused_in_a_sentence(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_table([path])
