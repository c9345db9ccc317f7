"""Inputs from the command line and from files, results into files."""

import csv
import json

import pytest

from wenmo.errors import OptionError
from wenmo.tasking.batch import gather, write_rows

ROWS = [{"文本": "好，很好", "score": 0.5, "words": ["好", "很"]}, {"文本": 'a "b"\tc', "score": None}]


def test_texts_and_files_are_gathered_in_order(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("id,评论\n7,不错\n8,awful\n", "utf-8")
    items = gather(["first"], [path], names=["评论"])
    assert [item.text for item in items] == ["first", "不错", "awful"]
    assert items[1].row == {"id": "7", "评论": "不错"} and items[2].place.endswith("line 3")
    assert [item.text for item in gather([], [path], column="id")] == ["7", "8"]


def test_no_text_is_refused():
    with pytest.raises(OptionError, match="there is no text"):
        gather([])


def test_rows_are_written_as_the_name_ends(tmp_path):
    for kind in ("csv", "tsv", "jsonl", "parquet"):
        write_rows(tmp_path / f"rows.{kind}", ROWS)
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"文本": "好，很好", "score": "0.5", "words": '["好", "很"]'},
            {"文本": 'a "b"\tc', "score": "", "words": ""},
        ]
    lines = (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == ROWS
    import pyarrow.parquet as pq

    assert pq.read_table(tmp_path / "rows.parquet").to_pylist()[0] == ROWS[0]
    with (tmp_path / "rows.tsv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file, delimiter="\t"))[2][0] == 'a "b"\tc'


def test_an_unknown_ending_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"\.csv, \.tsv, \.jsonl, \.parquet"):
        write_rows(tmp_path / "rows.xlsx", ROWS)
