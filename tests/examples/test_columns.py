"""Columns are found by option, name and content, and what was found is said."""

import pytest

from wenmo.errors import InputError, OptionError
from wenmo.examples import Role, Row, Table, assign_columns

TEXT = Role("text", "--text-field", ("text", "review", "文本", "评论"), "text")
LABEL = Role("label", "--label-field", ("label", "标签"), "label")
NOTE = Role("note", "--note-field", ("note",), required=False)


def table(columns, *rows):
    made = [Row(dict(zip(columns, row, strict=True)), "a.csv", i) for i, row in enumerate(rows, 1)]
    return Table(tuple(columns), made)


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (("label", "review"), {"text": "review", "label": "label"}),
        (("标签", "评论"), {"text": "评论", "label": "标签"}),
        (("Label", "TEXT "), {"text": "TEXT ", "label": "Label"}),
        (("1", "2"), {"text": "2", "label": "1"}),
        (("情感", "原话"), {"text": "原话", "label": "情感"}),
    ],
)
def test_columns_are_guessed(columns, found):
    rows = [
        ("1", "房间很大，住着舒服"),
        ("0", "Loud, all night"),
        ("1", "下次还会再来"),
        ("0", "never again"),
    ]
    assert assign_columns(table(columns, *rows), [TEXT, LABEL, NOTE], {})[0] == found


def test_the_option_goes_before_the_name():
    rows = table(("text", "title", "label"), ("a b", "标题", "x"), ("c d", "题目", "y"))
    found, sentence = assign_columns(rows, [TEXT, LABEL], {"text": "title", "label": None})
    assert found == {"text": "title", "label": "label"}
    assert "text from 'title'" in sentence and "of text, title, label" in sentence


def test_mistakes_name_the_option_and_the_columns():
    rows = table(("text", "label"), ("a", "x"), ("b", "y"))
    with pytest.raises(
        OptionError, match=r"--text-field: there is no column 'body'; the columns are text, label"
    ):
        assign_columns(rows, [TEXT, LABEL], {"text": "body"})
    with pytest.raises(OptionError, match="already has another role"):
        assign_columns(rows, [TEXT, LABEL], {"text": "text", "label": "text"})
    with pytest.raises(InputError, match=r"no column holds the label; .* --label-field"):
        assign_columns(table(("text",), *((f"text {i}",) for i in range(9))), [TEXT, LABEL], {})


def test_a_column_of_many_values_is_no_label():
    rows = table(("id", "text"), *((f"n{i}", "好") for i in range(300)))
    with pytest.raises(InputError, match="label"):
        assign_columns(rows, [TEXT, LABEL], {})
