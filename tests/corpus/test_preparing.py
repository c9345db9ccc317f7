import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wenmo.config import CorpusSettings
from wenmo.corpus import Corpus, prepare, preparing
from wenmo.corpus.encoding import CUT_OFF
from wenmo.errors import InputError, OptionError
from wenmo.text import clean

ENGLISH = [
    f"Document number {n} speaks of the sea, the wind and {n * 7} ships.\nIt has two lines."
    for n in range(60)
]
CHINESE = [f"第{n}篇文章讲的是大海、风和{n * 7}艘船。\n它有两行。" for n in range(60)]
WHOLE = CorpusSettings(valid_fraction=0, test_fraction=0)


def everything(corpus):
    return [text for split in ("train", "valid", "test") for text in corpus.texts(split)]


def make(tmp_path, files, settings=CorpusSettings(), **options):  # noqa: B008
    folder = tmp_path / "in"
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data if isinstance(data, bytes) else data.encode())
    return prepare([folder], tmp_path / "corpus", settings, progress=False, **options)


def jsonl(texts, field="text"):
    return "".join(
        json.dumps({"id": n, field: text}, ensure_ascii=False) + "\n" for n, text in enumerate(texts)
    )


def test_documents_are_split_and_none_is_lost(tmp_path):
    corpus = make(tmp_path, {"a.jsonl": jsonl(ENGLISH), "b.jsonl": jsonl(CHINESE)})
    assert sorted(everything(corpus)) == sorted(ENGLISH + CHINESE)
    for split in ("train", "valid", "test"):
        texts = list(corpus.texts(split))
        assert len(texts) == corpus.count(split) > 0
        assert sum(len(text.encode()) for text in texts) == corpus.bytes(split)
    assert corpus.manifest.splits["train"].scripts["han"] > 0
    assert Corpus.open(corpus.path).fingerprint == corpus.fingerprint


def test_documents_know_their_source(tmp_path):
    corpus = make(tmp_path, {"a.jsonl": jsonl(ENGLISH)}, WHOLE)
    documents = list(corpus.documents("train"))
    assert [document.text for document in documents] == ENGLISH
    assert documents[16].source.endswith("a.jsonl:17")


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("ending", ["txt", "csv", "html", "jsonl"])
def test_of_a_file_that_was_cut_all_is_read_but_the_last_character(tmp_path, ending, encoding):
    opening = "text\n" if ending == "csv" else f"<meta charset={encoding}>" if ending == "html" else ""
    whole = jsonl(CHINESE) + '"山' if ending == "jsonl" else opening + "\n".join(CHINESE) + "山"
    corpus = make(tmp_path, {f"cut.{ending}": whole.encode(encoding)[:-1]}, WHOLE)
    text = "\n".join(everything(corpus))
    lines = "\n".join(CHINESE).split("\n")  # a page joins them
    assert all(line in text for line in lines) and "山" not in text
    assert [note for note in corpus.manifest.notes if note.endswith(CUT_OFF)]


@pytest.mark.parametrize("language", [ENGLISH, CHINESE])
@pytest.mark.parametrize("copies", [1, 3])
def test_long_texts_are_cut_into_stretches_without_loss(tmp_path, language, copies):
    novels = ["\n\n".join(f"{copy}: {text}" for text in language) for copy in range(copies)]
    corpus = make(tmp_path, {f"{n}.txt": novel for n, novel in enumerate(novels)})
    parts = {split: list(corpus.texts(split)) for split in ("train", "valid", "test")}
    for n, novel in enumerate(novels):
        assert "".join(parts[split][n] for split in ("train", "valid", "test")) == novel
    assert abs(corpus.bytes("valid") / sum(len(novel.encode()) for novel in novels) - 0.05) < 0.02
    assert parts["train"][0].endswith("\n\n")


@given(
    st.lists(
        st.text(st.sampled_from("春江潮水连海平abc ,。\n"), min_size=1, max_size=400), min_size=1, max_size=12
    )
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_splits_partition_the_text(tmp_path, texts):
    source = tmp_path / "in.jsonl"
    source.write_text(jsonl(texts), encoding="utf-8")
    kept = list(dict.fromkeys(filter(None, map(clean, texts))))
    try:
        corpus = prepare([source], tmp_path / "corpus", progress=False, force=True)
    except InputError as error:
        assert "too little" in str(error) or "no text" in str(error)
        return
    joined = {}
    for split in ("train", "valid", "test"):
        for document in corpus.documents(split):
            joined[document.source] = joined.get(document.source, "") + document.text
    assert sorted(joined.values()) == sorted(kept)


def test_every_format_and_compression(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq
    import zstandard

    folder = tmp_path / "in"
    folder.mkdir()
    pq.write_table(pa.table({"id": [1, 2], "正文": ["parquet one", None]}), folder / "p.parquet")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("inner/z.txt", "inside the archive")
        file.writestr("inner/z.png", b"\x89PNG")
    corpus = make(
        tmp_path,
        {
            "a.txt": "plain text",
            "b.md": "# Heading",
            "c.jsonl.gz": gzip.compress(jsonl(["json one", "json two"], "content").encode()),
            "d.csv": 'label,review\n1,"comma, inside"\n0,"two\nlines"\n',
            "e.tsv": 'label\ttext_a\n1\t他说"好\n',
            "f.html": "<html><head><style>x{}</style></head><nav>menu</nav><p>One</p><p>Two<br>three</p>"
            "<script>var a</script></body></html>",
            "g.txt.zst": zstandard.compress(b"zstandard text"),
            "h.zip": archive.getvalue(),
            "sub/i.txt": "in a folder",
            "j.exe": b"MZ",
            ".hidden.txt": "hidden",
        },
        WHOLE,
    )
    assert sorted(everything(corpus)) == sorted(
        [
            "plain text",
            "# Heading",
            "json one",
            "json two",
            "comma, inside",
            "two\nlines",
            '他说"好',
            "One\n\nTwo\nthree",
            "zstandard text",
            "inside the archive",
            "in a folder",
            "parquet one",
        ]
    )
    assert corpus.manifest.dropped == {"missing field": 1}
    assert corpus.manifest.skipped == {".exe": 1, ".png": 1, "(hidden)": 1}
    assert any("'content'" in note for note in corpus.manifest.notes)


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "utf-8-sig", "utf-16-le"])
def test_encodings_reach_the_corpus(tmp_path, encoding):
    corpus = make(tmp_path, {"a.txt": "\n".join(CHINESE).encode(encoding)}, WHOLE)
    assert everything(corpus) == ["\n".join(CHINESE)]


def test_named_encoding_overrides(tmp_path):
    data = "中文".encode("gb18030")
    assert everything(
        make(
            tmp_path,
            {"a.txt": data},
            CorpusSettings(
                encoding="latin-1", **WHOLE.model_dump(include={"valid_fraction", "test_fraction"})
            ),
        )
    ) == ["ÖÐÎÄ"]
    with pytest.raises(OptionError, match="unknown encoding 'klingon'"):
        make(tmp_path, {"a.txt": data}, CorpusSettings(encoding="klingon"))


def test_duplicates_and_short_documents_are_counted(tmp_path):
    texts = ["same text", "same text  ", "x", "other text", ""]
    corpus = make(tmp_path, {"a.jsonl": jsonl(texts)}, WHOLE.model_copy(update={"min_chars": 2}))
    assert everything(corpus) == ["same text", "other text"]
    assert corpus.manifest.dropped == {"duplicate": 1, "too short": 1, "empty": 1}
    assert corpus.manifest.files[0].kept == 2
    again = make(tmp_path, {}, WHOLE.model_copy(update={"deduplicate": False}))
    assert again.manifest.files[0].kept == 4


def test_large_documents_are_parted_joined_and_deduplicated(tmp_path, monkeypatch):
    monkeypatch.setattr("wenmo.corpus.reading.BLOCK_CHARS", 1000)
    monkeypatch.setattr("wenmo.corpus.reading.READ_BYTES", 300)
    novel = "\n\n".join(CHINESE + ENGLISH)
    corpus = make(tmp_path, {"a.txt": novel, "b.txt": novel, "c.txt": "x" * 5000}, WHOLE)
    assert list(corpus.texts("train")) == [novel, "x" * 5000]
    parts = list(corpus.parts("train"))
    assert len(parts) > 6 and [last for _, last in parts].count(True) == 2
    assert corpus.manifest.dropped == {"duplicate": 1}
    monkeypatch.setattr("wenmo.corpus.store.MAX_JOINED_CHARS", 500)
    assert "".join(list(corpus.texts("train"))) == novel + "x" * 5000


def test_parted_novel_is_cut_without_loss(tmp_path, monkeypatch):
    monkeypatch.setattr("wenmo.corpus.reading.BLOCK_CHARS", 700)
    monkeypatch.setattr("wenmo.corpus.reading.READ_BYTES", 200)
    novel = "\n\n".join(CHINESE + ENGLISH)
    corpus = make(tmp_path, {"a.txt": novel})
    assert "".join(everything(corpus)) == novel
    assert [corpus.count(split) for split in ("train", "valid", "test")] == [1, 1, 1]


def test_unchanged_input_is_not_read_again_and_changed_input_is(tmp_path, monkeypatch):
    corpus = make(tmp_path, {"a.jsonl": jsonl(ENGLISH)})
    monkeypatch.setattr(preparing, "_build", lambda *_: pytest.fail("read again"))
    assert make(tmp_path, {}).fingerprint == corpus.fingerprint
    os.utime(tmp_path / "in/a.jsonl")
    assert make(tmp_path, {}).fingerprint == corpus.fingerprint
    monkeypatch.undo()
    status = (tmp_path / "in/a.jsonl").stat()
    changed = jsonl(ENGLISH).replace("sea", "lea")
    (tmp_path / "in/a.jsonl").write_text(changed)
    os.utime(tmp_path / "in/a.jsonl", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert make(tmp_path, {}).fingerprint != corpus.fingerprint
    assert make(tmp_path, {}, CorpusSettings(seed=3)).manifest.settings.seed == 3
    assert make(tmp_path, {"b.txt": "one more"}).manifest.files[1].kept == 1


def test_damaged_corpus_is_refused_and_rebuilt(tmp_path):
    corpus = make(tmp_path, {"a.jsonl": jsonl(ENGLISH)})
    part = corpus.path / "train/part-00000.parquet"
    part.write_bytes(part.read_bytes()[:-10])
    with pytest.raises(InputError, match="truncated"):
        Corpus.open(corpus.path)
    assert list(make(tmp_path, {}).texts("train"))
    with pytest.raises(InputError, match="no corpus"):
        Corpus.open(tmp_path / "in")
    (corpus.path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        Corpus.open(corpus.path)


def test_broken_line_is_counted_with_its_place(tmp_path):
    lines = jsonl(ENGLISH).splitlines()
    lines[16] = '{"text": "broken'
    lines[20] = '{"other": 1}'
    corpus = make(tmp_path, {"a.jsonl": "\n".join(lines)})
    assert corpus.manifest.dropped == {"broken JSON": 1, "missing field": 1}
    assert corpus.manifest.examples["broken JSON"][0].endswith("a.jsonl:17")


BAD = {
    "mostly broken": ({"a.jsonl": "{\n" * 9 + '{"text": "x"}\n'}, {}, "most lines.*broken JSON.*a.jsonl:1"),
    "no such field": ({"a.jsonl": jsonl(["x"])}, {"text_field": "body"}, "line 1.*'body'.*id, text"),
    "no such column": ({"a.csv": "label,review\n1,good\n"}, {"text_field": "body"}, "'body'.*label, review"),
    "no text column": ({"a.csv": "1,2\n3,4\n"}, {}, "no column holds text"),
    "empty file": ({"a.txt": ""}, {}, "no text is left.*empty"),
    "blank file": ({"a.txt": " \n\n"}, {}, "no text is left.*empty"),
    "binary": ({"a.txt": b"\x89PNG\x00\x01"}, {}, "no text is left.*binary"),
    "nothing known": ({"a.exe": b"MZ"}, {}, "no text files under.*exe"),
    "others not read": (
        {"a.txt": "词", "b.xml": "<feed/>", "c.xml": "<feed/>", "d.jsonl": '{"text": ""}\n'},
        {},
        r"too little text: 1 .*dropped 1: empty.*not read, by their names: 2 files \(.xml 2\).*matched by a pattern",
    ),
    "one word": ({"a.txt": "word"}, {}, "too little text: 4 characters"),
    "mixed": (
        {"a.txt": "中文很好".encode() * 9 + "中文很好".encode("gb18030") * 9},
        {},
        "mixed.*byte 108 .line 1",
    ),
    "damaged gzip": ({"a.txt.gz": gzip.compress(os.urandom(500))[:200]}, {}, "unreadable"),
    "damaged zip": ({"a.zip": b"PK\x03\x04broken"}, {}, "damaged archive"),
    "damaged parquet": ({"a.parquet": b"PAR1"}, {}, "no valid Parquet"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_sentence_and_leaves_nothing(tmp_path, case):
    files, changes, message = BAD[case]
    with pytest.raises(InputError, match=message):
        make(tmp_path, files, CorpusSettings(**changes))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in"]


def test_missing_paths(tmp_path):
    for path, message in ((tmp_path / "none", "does not exist"), (tmp_path / "*.txt", "no file matches")):
        with pytest.raises(InputError, match=message):
            prepare([path], tmp_path / "corpus", progress=False)
    with pytest.raises(InputError, match="no input"):
        prepare([], tmp_path / "corpus", progress=False)


def test_unreadable_file_is_counted(tmp_path, monkeypatch):
    real = preparing.hash_file

    def refuse(path):
        if path.name == "locked.txt":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(preparing, "hash_file", refuse)
    corpus = make(tmp_path, {"a.txt": "fine", "locked.txt": "secret"}, WHOLE)
    assert corpus.manifest.dropped == {"unreadable": 1}
    assert "Permission denied" in corpus.manifest.examples["unreadable"][0]


def test_output_that_is_no_corpus_is_never_replaced(tmp_path):
    target = tmp_path / "corpus"
    target.mkdir()
    (target / "precious.txt").write_text("keep")
    with pytest.raises(InputError, match="no corpus"):
        make(tmp_path, {"a.txt": "x" * 500})
    assert (target / "precious.txt").read_text() == "keep"


def test_interruption_leaves_the_old_corpus(tmp_path, monkeypatch):
    corpus = make(tmp_path, {"a.jsonl": jsonl(ENGLISH)})

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("wenmo.corpus.writing.CorpusWriter.add", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, {"b.jsonl": jsonl(CHINESE)})
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["corpus", "in"]
    assert Corpus.open(corpus.path).fingerprint == corpus.fingerprint


def test_ctrl_c_ends_in_order_and_leaves_nothing(tmp_path):
    (tmp_path / "in.txt").write_text(
        "".join(f"{n} {CHINESE[n % 60]}\n" for n in range(400_000)), encoding="utf-8"
    )
    program = (
        "import sys\nfrom wenmo.corpus import prepare\n"
        "try:\n    prepare([sys.argv[1]], sys.argv[2], progress=False)\n"
        "except KeyboardInterrupt:\n    sys.exit(130)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "in.txt"), str(tmp_path / "corpus")],
        stderr=subprocess.DEVNULL,
        # A shell that runs the tests in the background lets its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(
        path.stat().st_size for path in tmp_path.glob(".corpus.work.*/staging.arrow")
    ):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]


def test_a_text_field_for_plain_text_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("no fields here, only words and more words\n" * 20)
    with pytest.raises(OptionError, match="text-field"):
        prepare([tmp_path / "a.txt"], tmp_path / "out", CorpusSettings(text_field="body"), progress=False)


def test_standard_input_and_patterns(tmp_path, monkeypatch):
    class Stdin:
        buffer = io.BytesIO(b"from standard input")

    monkeypatch.setattr(sys, "stdin", Stdin)
    (tmp_path / "one.log").write_text("first log")
    (tmp_path / "two.log").write_text("second log")
    corpus = prepare(
        ["-", tmp_path / "*.log", tmp_path / "one.log"], tmp_path / "corpus", WHOLE, progress=False
    )
    assert everything(corpus) == ["from standard input", "first log", "second log"]


def test_report_is_self_contained_and_escapes(tmp_path):
    corpus = make(tmp_path, {"a.jsonl": jsonl(["<script>alert(1)</script> & 中文", *ENGLISH])}, WHOLE)
    page = (corpus.path / "report.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; 中文" in page
    assert "<script" not in page and "http" not in page and "src=" not in page
    assert corpus.fingerprint[:16] in page
    chars = sum(split.chars for split in corpus.manifest.splits.values())
    assert chars > 1000 and f">{chars:,}\n" in page


@pytest.mark.parametrize("texts", [ENGLISH, CHINESE])
def test_named_files_are_held_out_whole(tmp_path, texts):
    held = tmp_path / "held"
    held.mkdir()
    (held / "valid.jsonl").write_text(jsonl(texts[:5]), "utf-8")
    (held / "test.jsonl").write_text(jsonl(texts[5:9]), "utf-8")
    settings = CorpusSettings(valid=(str(held / "valid.jsonl"),), test=(str(held / "test.jsonl"),))
    corpus = make(tmp_path, {"a.jsonl": jsonl(texts[9:]), "novel.txt": "\n".join(texts[9:] * 40)}, settings)
    assert list(corpus.texts("valid")) == texts[:5]
    assert list(corpus.texts("test")) == texts[5:9]
    assert corpus.count("train") == len(texts) - 9 + 1
    assert f"named for it: {held / 'test.jsonl'}." in (corpus.path / "report.html").read_text("utf-8")
    assert make(tmp_path, {}, settings).fingerprint == corpus.fingerprint


def test_one_named_split_leaves_the_other_to_be_drawn(tmp_path):
    test = tmp_path / "test.txt"
    test.write_text("Nothing of this was read before.\n" * 9, "utf-8")
    corpus = make(tmp_path, {"novel.txt": "\n".join(ENGLISH)}, CorpusSettings(test=(str(test),)))
    assert list(corpus.texts("test")) == [("Nothing of this was read before.\n" * 9).strip()]
    (train,), (valid,) = corpus.texts("train"), corpus.texts("valid")
    assert (train + valid).replace("\n", "") == "".join(ENGLISH).replace("\n", "")
    assert 0.03 < corpus.bytes("valid") / (corpus.bytes("train") + corpus.bytes("valid")) < 0.07


def test_a_held_out_text_is_not_trained_on_though_it_lies_among_the_rest(tmp_path):
    copy = {"b.jsonl": jsonl(ENGLISH[:30]), "a.jsonl": jsonl(ENGLISH)}
    settings = CorpusSettings(test=(str(tmp_path / "in" / "b.jsonl"),), valid_fraction=0)
    corpus = make(tmp_path, copy, settings)
    assert list(corpus.texts("test")) == ENGLISH[:30]
    assert list(corpus.texts("train")) == ENGLISH[30:]
    assert corpus.manifest.dropped == {"duplicate": 30}


def test_a_changed_held_out_file_makes_another_corpus(tmp_path):
    test = tmp_path / "test.txt"
    test.write_text("Before. " * 30, "utf-8")
    settings = CorpusSettings(test=(str(test),))
    before = make(tmp_path, {"a.jsonl": jsonl(ENGLISH)}, settings).fingerprint
    test.write_text("After. " * 30, "utf-8")
    assert make(tmp_path, {}, settings).fingerprint != before


def test_held_out_files_that_cannot_be_used(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "blank.txt").write_text(" \n", "utf-8")
    files = {"a.jsonl": jsonl(ENGLISH)}
    for split in ("valid", "test"):
        for name, reason in (
            ("-", "standard input"), ("gone.txt", "does not exist"), ("empty", "no text files under"),
            ("blank.txt", "no text is left"),
        ):  # fmt: skip
            path = name if name == "-" else str(tmp_path / name)
            with pytest.raises(InputError, match=reason):
                make(tmp_path, files, CorpusSettings(**{split: (path,)}))
    test = tmp_path / "in" / "a.jsonl"
    with pytest.raises(InputError, match="nothing to train on"):
        prepare([test], tmp_path / "c", CorpusSettings(test=(str(test),)), progress=False)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_a_share_beside_named_files_is_refused(split, tmp_path):
    settings = CorpusSettings(**{split: ("a.txt",), f"{split}_fraction": 0.2})
    with pytest.raises(OptionError, match=f"--corpus.{split}-fraction has no effect"):
        make(tmp_path, {"a.jsonl": jsonl(ENGLISH)}, settings)
