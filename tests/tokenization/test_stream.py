import json
from pathlib import Path

import numpy as np
import pytest

from wenmo.errors import InputError
from wenmo.tokenization import stream as stream_module
from wenmo.tokenization.backend import assemble
from wenmo.tokenization.stream import TokenStream, shuffled, spread
from wenmo.tokenization.tokenizer import Tokenizer


def build(tokenizer: Tokenizer, texts: list, path: Path, **options: str) -> TokenStream:
    return TokenStream.build(tokenizer, texts, path, progress=False, **options)


def test_token_bytes_sum_to_text_bytes(tokenizer: Tokenizer, texts: list[str], tmp_path: Path) -> None:
    texts = [*texts, "", "无尽🙂\r\n", "\x00"]
    stream = build(tokenizer, texts, tmp_path / "s")
    total = sum(len(text.encode()) for text in texts)
    assert stream.num_bytes == total == tokenizer.byte_lengths[stream.ids].sum()
    assert isinstance(stream.ids, np.memmap)
    assert stream.ids.dtype == np.uint16
    assert stream.num_documents == len(texts)
    for index, text in enumerate(texts):
        document = stream.ids[stream.offsets[index] : stream.offsets[index + 1]]
        assert document[-1] == tokenizer.eos_id
        assert tokenizer.decode(document) == text


def test_batches_do_not_matter(
    tokenizer: Tokenizer, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = build(tokenizer, texts, tmp_path / "whole")
    monkeypatch.setattr(stream_module, "BATCH_BYTES", 10)
    assert np.array_equal(build(tokenizer, texts, tmp_path / "small").ids, whole.ids)


def test_parts_join_into_one_document(tokenizer: Tokenizer, tmp_path: Path) -> None:
    parts = [("江水", False), ("很高。", True), ("The river", False), ("", True)]
    stream = build(tokenizer, parts, tmp_path / "s")
    assert stream.num_documents == 2
    assert tokenizer.decode(stream.ids[: stream.offsets[1]]) == "江水很高。"
    assert (np.asarray(stream.ids) == tokenizer.eos_id).sum() == 2
    with pytest.raises(InputError, match="no end"):
        build(tokenizer, parts[:1], tmp_path / "unfinished")
    assert not (tmp_path / "unfinished").exists()


def test_nothing(tokenizer: Tokenizer, tmp_path: Path) -> None:
    stream = build(tokenizer, [], tmp_path / "s")
    assert (len(stream), stream.num_documents, stream.num_bytes) == (0, 0, 0)


def test_large_vocabulary_takes_32_bits(tmp_path: Path) -> None:
    characters = [chr(code) for code in range(0x20000, 0x20000 + 65_400)]
    tokenizer = Tokenizer(assemble("char", characters), "char")
    text = characters[0] + characters[-1]
    stream = build(tokenizer, [text], tmp_path / "s")
    assert stream.ids.dtype == np.uint32
    assert tokenizer.decode(stream.ids) == text
    assert len(stream) == 3


def test_stale_and_damaged_streams_are_refused(
    tokenizer: Tokenizer, texts: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "s"
    build(tokenizer, texts, path, corpus_fingerprint="abc")
    opened = TokenStream.open(path, tokenizer=tokenizer, corpus_fingerprint="abc")
    assert opened.corpus_fingerprint == "abc"
    with pytest.raises(InputError, match="another text"):
        TokenStream.open(path, corpus_fingerprint="abd")
    with pytest.raises(InputError, match="another tokenizer"):
        TokenStream.open(path, tokenizer=Tokenizer(assemble("char", "龍"), "char"))
    facts = json.loads((path / "stream.json").read_text())
    (path / "stream.json").write_text(json.dumps(facts | {"version": 0}))
    with pytest.raises(InputError, match="version"):
        TokenStream.open(path)
    (path / "stream.json").write_text(json.dumps(facts))
    ids = (path / "ids.bin").read_bytes()
    (path / "ids.bin").write_bytes(ids[:-2])
    with pytest.raises(InputError, match="truncated"):
        TokenStream.open(path)
    (path / "offsets.npy").write_bytes(b"")
    with pytest.raises(InputError, match="damaged"):
        TokenStream.open(path)
    (path / "ids.bin").unlink()
    with pytest.raises(InputError):
        TokenStream.open(path)
    with pytest.raises(InputError, match="missing"):
        TokenStream.open(tmp_path / "nowhere")


def test_failed_build_leaves_the_old_stream(tokenizer: Tokenizer, texts: list[str], tmp_path: Path) -> None:
    old = build(tokenizer, texts, tmp_path / "s")
    with pytest.raises(InputError):
        build(tokenizer, ["fine", "a\ud800"], tmp_path / "s")
    assert np.array_equal(TokenStream.open(tmp_path / "s").ids, old.ids)
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize("count", [1, 5, 16, 100, 999, 1000, 5000])
def test_spread_takes_stretches_from_all_over(count: int) -> None:
    ids = np.arange(1000, dtype=np.uint16)
    taken = spread(ids, count)
    assert len(set(taken.tolist())) == len(taken) <= max(count, 1)
    assert len(taken) >= min(count, 1000) * 0.9 - 1 or count < 16
    if count >= 100:
        assert taken[0] < 100 and taken[-1] >= 900


@pytest.mark.parametrize("length", [0, 1, 10, 100, 101])
def test_shuffled_keeps_every_token_and_the_order_inside_a_block(length: int) -> None:
    ids = np.arange(length, dtype=np.uint16)
    mixed = shuffled(ids, seed=3, block=10)
    assert sorted(mixed.tolist()) == ids.tolist()
    assert np.array_equal(mixed, shuffled(ids, seed=3, block=10))
    if length > 20:
        assert not np.array_equal(mixed, ids)
        assert (
            sum(b - a == 1 for a, b in zip(mixed[:-1].tolist(), mixed[1:].tolist(), strict=True))
            >= length * 0.8
        )
