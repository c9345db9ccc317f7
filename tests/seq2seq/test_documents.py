"""Documents keep their layout."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenmo.errors import InputError
from wenmo.seq2seq.documents import read_document, split_document, split_long, translate_document


def marked(texts):
    return [f"<{text}>" for text in texts]


def run(text, translate=marked, longest=100):
    return translate_document(text, translate, size=len, longest=longest)


def test_layout_stays():
    document = "# A title\n\n  Indented one. And two!\n- first item\n  2. second item\n> quoted.\n\n\nEnd\n"
    assert run(document) == (
        "# <A title>\n\n  <Indented one.> <And two!>\n- <first item>\n  2. <second item>\n> <quoted.>\n\n\n<End>\n"
    )


def test_chinese_layout_stays():
    document = "一、标题\n\n\u3000\u3000第一句。第二句！\n1、项目\n"
    assert run(document, lambda texts: ["Sentence." for _ in texts]) == (
        "Sentence.\n\n\u3000\u3000Sentence. Sentence.\n1、Sentence.\n"
    )


def test_sentences_join_as_the_language_of_the_translation_does():
    assert run("One. Two.", lambda texts: ["一。", "二。"]) == "一。二。"
    assert run("一。二。", lambda texts: ["One.", "Two."]) == "One. Two."


def test_what_holds_no_text_stays():
    asked = []
    assert (
        run("***\n---\n1.\n……\n", lambda texts: asked.extend(texts) or marked(texts)) == "***\n---\n1.\n……\n"
    )
    assert asked == []


@given(st.text(alphabet="ab 你好。.!\n\t-#1、\r\u3000", max_size=60))
def test_pieces_join_to_the_document_and_identity_keeps_every_word(text):
    assert "".join(piece.text for piece in split_document(text)) == text
    kept = run(text, list)
    assert [c for c in kept if not c.isspace()] == [c for c in text if not c.isspace()]
    assert kept.count("\n") == text.count("\n")


def test_long_sentences_are_cut_at_commas():
    assert split_long("short one", len, 20) == ["short one"]
    assert split_long("one two, three four, five six", len, 21) == ["one two, three four,", "five six"]
    assert split_long("今天天气很好，我们去公园，然后回家。", len, 13) == [
        "今天天气很好，我们去公园，",
        "然后回家。",
    ]
    assert split_long("x" * 30, len, 10) == ["x" * 30]


def test_a_document_is_read_whole(tmp_path):
    path = tmp_path / "d.txt"
    path.write_bytes("一\n\n 二\n".encode("gb18030"))
    assert read_document(path, "gb18030") == "一\n\n 二\n"
    with pytest.raises(InputError, match="does not exist"):
        read_document(tmp_path / "none.txt")
