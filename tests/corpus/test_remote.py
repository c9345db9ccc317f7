import gzip
import io
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stores import store

from wenmo.config import CorpusSettings
from wenmo.corpus import prepare
from wenmo.corpus.inputs import find_inputs
from wenmo.corpus.remote import is_remote
from wenmo.errors import InputError

WHOLE = CorpusSettings(valid_fraction=0.0, test_fraction=0.0)
ENGLISH = "The river runs to the sea, and the sea is never full.\n" * 400
CHINESE = "逝者如斯夫，不舍昼夜。子在川上曰。\n" * 400


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def objects() -> dict[str, bytes]:
    archive, table = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("inner.txt", "from the archive, once\n")
    pq.write_table(pa.table({"text": ["一行来自表格的文字。", "a line of a table"]}), table)
    return {
        "texts/english.txt": ENGLISH.encode(),
        "texts/more/中文.txt": CHINESE.encode("gb18030"),
        "texts/packed.txt.gz": gzip.compress(b"packed and small\n"),
        "texts/table.parquet": table.getvalue(),
        "texts/archive.zip": archive.getvalue(),
        "texts/photo.jpg": b"\xff\xd8\xff",
        "other/secret.txt": b"not asked for\n",
    }


def test_a_folder_in_a_store_becomes_the_corpus_that_the_same_files_on_disk_become(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    for key, data in objects().items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    with store("library", objects()) as (query, requests):
        remote = prepare([f"s3://library/texts{query}"], tmp_path / "remote", WHOLE, progress=False)
        read = len(requests)
        again = prepare([f"s3://library/texts{query}"], tmp_path / "remote", WHOLE, progress=False)
        assert not [line for line in requests[read:] if "Range" in line or ".txt" in line]
    local = prepare([folder / "texts"], tmp_path / "local", WHOLE, progress=False)
    assert [text for text, _ in remote.parts("train")] == [text for text, _ in local.parts("train")]
    assert remote.manifest.skipped == local.manifest.skipped == {".jpg": 1}
    assert remote.fingerprint == again.fingerprint
    assert {record.source for record in remote.manifest.files} == {
        "s3://library/texts/english.txt",
        "s3://library/texts/more/中文.txt",
        "s3://library/texts/packed.txt.gz",
        "s3://library/texts/table.parquet",
        "s3://library/texts/archive.zip!/inner.txt",
    }
    assert not [line for line in requests if "secret" in line and line.startswith("GET")]


def test_one_file_a_pattern_and_a_local_uri(tmp_path: Path) -> None:
    with store("library", objects()) as (query, _):
        one = find_inputs([f"s3://library/texts/english.txt{query}"], tmp_path / "stdin")
        some = find_inputs([f"s3://library/texts/*.txt{query}"], tmp_path / "stdin")
        with one.sources[0].open() as stream:
            assert stream.read() == ENGLISH.encode()
    assert [source.label for source in one.sources] == ["s3://library/texts/english.txt"]
    assert [source.label for source in some.sources] == ["s3://library/texts/english.txt"]
    path = tmp_path / "带 空格.txt"
    path.write_text(CHINESE, encoding="utf-8")
    assert find_inputs([path.as_uri()], tmp_path / "stdin").sources[0].path == path


@pytest.mark.parametrize(
    "pattern",
    [
        "texts/*.txt",
        "texts/**/*.txt",
        "texts/*",
        "*/english.txt",
        "texts/**",
        "texts/m*",
        "texts/[a-m]*",
        "**/中*",
    ],
)
def test_a_pattern_finds_in_a_store_what_it_finds_on_disk(tmp_path: Path, pattern: str) -> None:
    disk = tmp_path / "disk"
    for key, data in objects().items():
        (disk / key).parent.mkdir(parents=True, exist_ok=True)
        (disk / key).write_bytes(data)
    local = find_inputs([disk / pattern], tmp_path / "stdin")
    with store("library", objects()) as (query, _):
        remote = find_inputs([f"s3://library/{pattern}{query}"], tmp_path / "stdin")
    there = [(source.label.removeprefix("s3://library/"), source.kind) for source in remote.sources]
    assert sorted(there) == sorted(
        (source.label.removeprefix(f"{disk}/"), source.kind) for source in local.sources
    )
    assert remote.skipped == local.skipped and there


def test_what_is_not_there_is_said_in_a_sentence(tmp_path: Path) -> None:
    with store("library", objects()) as (query, _):
        with pytest.raises(InputError, match=r"s3://library/nothing does not exist; check the path"):
            find_inputs([f"s3://library/nothing{query}"], tmp_path)
        with pytest.raises(InputError, match=r"no file matches s3://library/texts/\*\.md"):
            find_inputs([f"s3://library/texts/*.md{query}"], tmp_path)
    with pytest.raises(InputError, match="in the environment instead") as error:
        find_inputs(["s3://name:password@library/texts"], tmp_path)
    assert "password" not in str(error.value)
    with pytest.raises(InputError, match="ftp:// is not read"):
        find_inputs(["ftp://host/texts"], tmp_path)
    assert not is_remote("C:/texts") and not is_remote("texts/a.txt") and not is_remote("-")


def test_hidden_files_are_counted_and_read_where_they_are_named(tmp_path: Path) -> None:
    held = {
        "texts/a.txt": b"one\n",
        "texts/.draft.txt": "草稿\n".encode(),
        "texts/.git/b.txt": b"two\n",
        ".old/c.txt": b"three\n",
    }
    with store("library", held) as (query, _):
        folder = find_inputs([f"s3://library/texts{query}"], tmp_path / "stdin")
        named = find_inputs([f"s3://library/texts/.draft.txt{query}"], tmp_path / "stdin")
        below = find_inputs([f"s3://library/.old{query}"], tmp_path / "stdin")
        some = find_inputs([f"s3://library/texts/*.txt{query}"], tmp_path / "stdin")
    assert [source.label for source in folder.sources] == ["s3://library/texts/a.txt"]
    assert folder.skipped == {"(hidden)": 2}
    assert [source.label for source in named.sources] == ["s3://library/texts/.draft.txt"]
    assert [source.label for source in below.sources] == ["s3://library/.old/c.txt"]
    assert [source.label for source in some.sources] == ["s3://library/texts/a.txt"] and not some.skipped


def test_chinese_and_number_signs_in_a_path_are_part_of_the_name(tmp_path: Path) -> None:
    held = {"texts/wrong.txt": b"one\n", "texts#2/第#1章.txt": "二\n".encode()}
    with store("library", held) as (query, _):
        found = find_inputs([f"s3://library/texts#2{query}"], tmp_path / "stdin")
        one = find_inputs([f"s3://library/texts#2/第#1章.txt{query}"], tmp_path / "stdin")
    labels = [source.label for source in found.sources]
    assert labels == [source.label for source in one.sources] == ["s3://library/texts#2/第#1章.txt"]


def test_chinese_and_spaced_paths_in_a_store_can_be_named(tmp_path: Path) -> None:
    held = {"文集/第 一 章.txt": "一\n".encode(), "文集/第 二 章.txt": "二\n".encode()}
    with store("library", held) as (query, _):
        folder = find_inputs([f"s3://library/文集{query}"], tmp_path / "stdin")
        one = find_inputs([f"s3://library/文集/第 一 章.txt{query}"], tmp_path / "stdin")
        some = find_inputs([f"s3://library/文集/*二*.txt{query}"], tmp_path / "stdin")
    assert len(folder.sources) == 2
    assert [source.label for source in one.sources] == ["s3://library/文集/第 一 章.txt"]
    assert [source.label for source in some.sources] == ["s3://library/文集/第 二 章.txt"]
