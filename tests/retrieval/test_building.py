import numpy as np
import pytest

from wenmo.errors import InputError
from wenmo.retrieval import building, update_index
from wenmo.retrieval.bm25 import ARRAYS


@pytest.fixture
def documents(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("苹果是一种水果，原产于欧洲。\n", "utf-8")
    (folder / "b.txt").write_text("Bananas grow in the tropics.\n", "utf-8")
    (folder / "c.md").write_text("香蕉在热带生长。\n", "utf-8")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    return folder


def update(documents, tmp_path, **options):
    return update_index([documents], tmp_path / "index", progress=False, **options)


def names(labels):
    return [label.rsplit("/", 1)[1] for label in labels]


def test_unchanged_files_are_not_read_again(documents, tmp_path, monkeypatch):
    _, report = update(documents, tmp_path)
    assert names(report.read) == ["a.txt", "b.txt", "c.md"] and report.passages == 3
    assert report.skipped == {".png": 1}
    cut = []
    monkeypatch.setattr(building, "terms", lambda text: cut.append(text) or text.split())
    index, report = update(documents, tmp_path)
    assert names(report.kept) == ["a.txt", "b.txt", "c.md"] and not report.read and not cut
    assert index.search("Bananas tropics", 1)[0].source.endswith("b.txt")


def test_changed_and_removed_files_are_found_by_their_hash(documents, tmp_path):
    update(documents, tmp_path)
    stamp = (documents / "a.txt").stat()
    (documents / "a.txt").write_text("葡萄是一种水果，原产于亚洲。\n", "utf-8")
    import os

    os.utime(documents / "a.txt", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # neither size nor date tells
    (documents / "b.txt").unlink()
    (documents / "d.txt").write_text("Cherries are red.\n", "utf-8")
    index, report = update(documents, tmp_path)
    assert names(report.read) == ["a.txt", "d.txt"] and names(report.removed) == ["b.txt"]
    assert names(report.kept) == ["c.md"]
    assert "葡萄" in index.search("葡萄", 1)[0].text and not any(
        "欧洲" in p.text for p in index.search("欧洲", 5)
    )
    assert not [p for p in index.search("bananas tropics", 5) if "Banana" in p.text]


def test_an_updated_index_equals_a_new_one(documents, tmp_path):
    update(documents, tmp_path)
    (documents / "b.txt").write_text("Mangos grow in India.\n\nAnother paragraph.", "utf-8")
    updated, _ = update(documents, tmp_path)
    new, _ = update_index([documents], None, progress=False)
    for question in ("香蕉热带", "mango India", "水果"):
        assert updated.search(question, 5) == new.search(question, 5)
    for name in ("places", "lengths", "row_starts"):
        np.testing.assert_array_equal(updated.arrays[name], new.arrays[name])
    assert set(ARRAYS) == set(new.arrays)


def test_other_settings_and_damage_make_it_anew(documents, tmp_path):
    update(documents, tmp_path)
    _, report = update(documents, tmp_path, most=20)
    assert len(report.read) == 3
    (tmp_path / "index" / "terms.json").write_text("[", "utf-8")
    _, report = update(documents, tmp_path, most=20)
    assert len(report.read) == 3


def test_documents_without_text_are_refused_in_a_sentence(tmp_path):
    (tmp_path / "empty.txt").write_text("  \n\n", "utf-8")
    with pytest.raises(InputError, match="no text in the documents"):
        update_index([tmp_path / "empty.txt"], None, progress=False)
    (tmp_path / "binary.txt").write_bytes(b"\x89PNG\x00\x01")
    with pytest.raises(InputError, match="binary"):
        update_index([tmp_path / "binary.txt"], None, progress=False)
    with pytest.raises(InputError, match="does not exist"):
        update_index([tmp_path / "nowhere"], None, progress=False)
