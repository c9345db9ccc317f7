import json

import pytest

from wenmo.errors import InputError, OptionError
from wenmo.semantics.documents import given_documents, read_documents, without_repeats


def test_rows_of_tables_are_documents(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,摘要\n1,酒店的早餐很好\n2,\n3,。。。\n4,The laptop screen\n", encoding="utf-8")
    found = read_documents([path])
    assert found.texts == ["酒店的早餐很好", "The laptop screen"]
    assert found.sources[1].endswith("t.csv, line 5")
    assert found.dropped == {"an empty document": 1, "a document without a word to go by": 1}
    assert any("text from '摘要'" in note for note in found.notes)


def test_a_single_text_is_lines_and_several_are_files(tmp_path):
    for name, text in (("a.txt", "酒店的早餐\n\n电脑的键盘\n"), ("b.txt", "novel author\nplot reader\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_documents([tmp_path / "a.txt"]).texts == ["酒店的早餐", "电脑的键盘"]
    assert read_documents([tmp_path / "a.txt"], unit="file").texts == ["酒店的早餐\n电脑的键盘"]
    whole = read_documents([tmp_path])
    assert len(whole.texts) == 2 and "every text file is a document" in " ".join(whole.notes)
    assert len(read_documents([tmp_path], unit="line").texts) == 4


def test_a_column_named_text_is_no_plain_text(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps({"text": t}) + "\n" for t in ("hotel room", "laptop"))
    )
    assert read_documents([tmp_path / "a.jsonl"], unit="file").texts == ["hotel room", "laptop"]


def test_web_pages_are_documents(tmp_path):
    (tmp_path / "a.html").write_text(
        "<html><body><p>酒店的早餐</p><script>var x</script></body></html>", encoding="utf-8"
    )
    (tmp_path / "b.txt").write_text("novel author\nplot reader\n", encoding="utf-8")
    assert read_documents([tmp_path / "a.html"]).texts == ["酒店的早餐"]
    both = read_documents([tmp_path])
    assert both.texts == ["酒店的早餐", "novel author\nplot reader"] and both.sources[0].endswith("a.html")
    with pytest.raises(InputError, match="gone"):
        read_documents([tmp_path / "gone.html"])


def test_other_encodings(tmp_path):
    (tmp_path / "gb.txt").write_bytes(
        "酒店的早餐和前台的服务员都很好。\n电脑的键盘和屏幕不错。\n".encode("gb18030")
    )
    assert read_documents([tmp_path / "gb.txt"]).texts[0].startswith("酒店的早餐")


def test_no_words_are_an_error(tmp_path):
    (tmp_path / "a.txt").write_text("...\n12\n", encoding="utf-8")
    with pytest.raises(InputError, match="no document has a word"):
        read_documents([tmp_path / "a.txt"])


def test_repeats_are_counted(tmp_path):
    (tmp_path / "a.txt").write_text("hotel room\nlaptop\nhotel room\n", encoding="utf-8")
    kept = without_repeats(read_documents([tmp_path / "a.txt"]))
    assert kept.texts == ["hotel room", "laptop"] and kept.dropped == {"the same text again": 1}


def test_what_is_named_is_a_file_where_there_is_one(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("酒店的早餐", encoding="utf-8")
    found = given_documents([str(path), "电脑的键盘", "Is this a text?"], [])
    assert found.texts == ["电脑的键盘", "Is this a text?", "酒店的早餐"]
    assert found.sources[:2] == ["", ""] and "notes.txt" in found.sources[2]
    with pytest.raises(InputError, match=r"there is no file /nowhere/letters\.euc"):
        given_documents(["/nowhere/letters.euc"], [])
    with pytest.raises(InputError, match=r"there is no file nothing\.txt"):
        given_documents(["nothing.txt"], [])
    with pytest.raises(OptionError, match="no text"):
        given_documents([], [])
    (tmp_path / "task.json").write_text("{}")
    with pytest.raises(OptionError, match="--model"):
        given_documents([str(tmp_path)], [])
    assert given_documents(["长" * 5_000 + "酒店"], []).texts[0].endswith("酒店")
