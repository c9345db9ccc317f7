"""Reading sentence pairs from the formats that people have."""

import gzip
import json

import pytest

from wenmo.errors import InputError, OptionError
from wenmo.seq2seq.pairs import language_named, read_pairs

EN = ["Good morning.", "How are you?", "", "I like tea."]
ZH = ["早上好。", "你好吗？", "", "我喜欢茶。"]


def read(*paths, **options):
    pairs = read_pairs(list(paths), **options)
    return [(p.source, p.target) for p in pairs.rows], pairs


def test_two_files_correspond_line_by_line_blank_lines_included(tmp_path):
    (tmp_path / "t.en").write_text("\n".join(EN) + "\n", "utf-8")
    with gzip.open(tmp_path / "t.zh.gz", "wt", encoding="utf-8") as file:
        file.write("\ufeff" + "\r\n".join(ZH))
    rows, pairs = read(tmp_path / "t.en", tmp_path / "t.zh.gz")
    assert rows == list(zip(EN, ZH, strict=True))
    assert pairs.languages == ("en", "zh")
    assert pairs.rows[3].place.endswith("t.en, line 4")


def test_files_of_different_length_are_refused_with_both_counts(tmp_path):
    (tmp_path / "a.txt").write_text("一\n二\n三\n", "utf-8")
    (tmp_path / "b.txt").write_text("one\ntwo\n", "utf-8")
    with pytest.raises(InputError, match=r"a\.txt has 3 lines and .*b\.txt 2"):
        read(tmp_path / "a.txt", tmp_path / "b.txt")
    with pytest.raises(InputError, match="need two files"):
        read(tmp_path / "a.txt")
    with pytest.raises(OptionError, match="--target-field"):
        read(tmp_path / "a.txt", tmp_path / "b.txt", target_field="x")


def test_files_in_gb18030_and_utf16_are_read(tmp_path):
    (tmp_path / "a.zh").write_bytes("\n".join(ZH * 5).encode("gb18030"))
    (tmp_path / "a.en").write_bytes("\n".join(EN * 5).encode("utf-16"))
    rows, pairs = read(tmp_path / "a.zh", tmp_path / "a.en")
    assert rows[:2] == [(ZH[0], EN[0]), (ZH[1], EN[1])] and pairs.languages == ("zh", "en")


@pytest.mark.parametrize("ending", ["tsv", "csv"])
def test_tables_without_header_name_the_sides_by_script(tmp_path, ending):
    mark = "\t" if ending == "tsv" else ","
    path = tmp_path / f"pairs.{ending}"
    path.write_text(
        "".join(
            f"{a}{mark}{b}{mark}CC-BY 2.0 Attribution: x #{n}\n"
            for n, (a, b) in enumerate(zip(EN, ZH, strict=True))
            if a
        ),
        "utf-8",
    )
    rows, pairs = read(path)
    assert rows[0] == (EN[0], ZH[0]) and len(rows) == 3
    assert pairs.languages == ("en", "zh")
    assert "source from '1'" in pairs.notes[-1]


def test_columns_are_guessed_from_their_names_or_given(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text(
        "".join(
            json.dumps({"id": n, "译文": a, "原文": b}) + "\n"
            for n, (a, b) in enumerate(zip(EN, ZH, strict=True))
        ),
        "utf-8",
    )
    rows, pairs = read(path)
    assert rows[0] == (ZH[0], EN[0]) and pairs.languages[0] == "zh"
    rows, _ = read(path, source_field="译文", target_field="原文")
    assert rows[0] == (EN[0], ZH[0])
    with pytest.raises(
        OptionError, match=r"--source-field: there is no column 'x'; the columns are 译文, 原文"
    ):
        read(path, source_field="x")
    with pytest.raises(OptionError, match="is the source already"):
        read(path, source_field="译文", target_field="译文")


def test_objects_in_cells_are_columns(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text(
        "".join(json.dumps({"translation": {"en": a, "zh": b}}) + "\n" for a, b in zip(EN, ZH, strict=True)),
        "utf-8",
    )
    rows, pairs = read(path)
    assert rows[1] == (EN[1], ZH[1]) and pairs.languages == ("en", "zh")


def test_parquet_is_read(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"english": EN, "chinese": ZH}), tmp_path / "p.parquet")
    rows, pairs = read(tmp_path / "p.parquet")
    assert rows[0] == (EN[0], ZH[0]) and pairs.languages == ("en", "zh")


TMX = """<?xml version="1.0" encoding="UTF-8"?>
<tmx version="1.4"><header srclang="en"/><body>
<tu><tuv xml:lang="en-US"><seg>Good <bpt i="1"/>morning.</seg></tuv><tuv xml:lang="zh-CN"><seg>早上好。</seg></tuv></tu>
<tu><tuv xml:lang="en-US"><seg>Only English</seg></tuv></tu>
<tu><tuv xml:lang="en-US"><seg>Tea &amp; milk</seg></tuv><tuv xml:lang="zh-CN"><seg>茶和牛奶</seg></tuv></tu>
</body></tmx>"""


def test_translation_memories_are_read(tmp_path):
    path = tmp_path / "m.tmx"
    path.write_text(TMX, "utf-8")
    rows, pairs = read(path)
    assert rows == [("Good morning.", "早上好。"), ("Tea & milk", "茶和牛奶")]
    assert pairs.languages == ("en", "zh")
    assert dict(pairs.dropped) == {"a unit without en-us and zh-cn": 1}
    rows, _ = read(path, source_field="zh", target_field="en")
    assert rows[0] == ("早上好。", "Good morning.")
    with pytest.raises(OptionError, match="--target-field: no unit is in 'fr'"):
        read(path, target_field="fr")


def test_damaged_memories_are_refused(tmp_path):
    (tmp_path / "m.tmx").write_text(TMX[:200], "utf-8")
    with pytest.raises(InputError, match=r"m\.tmx cannot be read as TMX"):
        read(tmp_path / "m.tmx")


def test_one_column_is_refused(tmp_path):
    (tmp_path / "p.csv").write_text("text,number\none,1\ntwo,2\n", "utf-8")
    with pytest.raises(InputError, match="--source-field"):
        read(tmp_path / "p.csv")


def test_languages_without_names_are_known_by_their_words(tmp_path):
    path = tmp_path / "p.tsv"
    english = ["Where is the station, please?", "He said that he was ill.", "It is raining and I want to go."]
    french = ["Où est la gare, je vous prie ?", "Il a dit que le médecin est là.", "Je veux une pomme."]
    path.write_text("".join(f"{a}\t{b}\n" for a, b in zip(english, french, strict=True)), "utf-8")
    assert read(path)[1].languages == ("en", "fr")


@pytest.mark.parametrize(
    ("name", "language"), [("EN", "en"), ("zh-CN", "zh"), ("中文", "zh"), ("German", "de"), ("id", None)]
)
def test_names_of_languages(name, language):
    assert language_named(name) == language
