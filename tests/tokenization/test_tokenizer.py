import json
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from wenmo.errors import InputError, ModelError
from wenmo.tokenization.pretokenization import byte_alphabet
from wenmo.tokenization.tokenizer import END_OF_TEXT, Tokenizer

HARD = [
    "",
    " ",
    "\x00",
    "\r\n\r\n\t  \n",
    "  leading and trailing  ",
    "e\u0301 n\u0303 \u200d 👩‍👩‍👧‍👦 🇨🇳 𠮷",
    "你好，世界！“他说”……——《书》　　段落",
    "繁體字與簡体字",
    END_OF_TEXT,
    f"a{END_OF_TEXT}b {END_OF_TEXT}",
    "Ā ā Ċ Ġword",
    "\ufffd\ufeff\u2028\x85\x7f",
]
valid_text = st.text(st.characters(exclude_categories=["Cs"])) | st.lists(st.sampled_from(HARD)).map("".join)


@given(text=valid_text)
def test_round_trip_and_exact_bytes(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert b"".join(tokenizer.token_bytes[i] for i in ids) == text.encode()
    assert tokenizer.byte_lengths[ids].sum() == len(text.encode())
    assert tokenizer.eos_id not in ids


@pytest.mark.parametrize("text", HARD)
def test_hard_texts(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert ids.dtype == np.int64
    assert tokenizer.decode(ids) == text
    assert tokenizer.eos_id not in ids


def test_bytes_are_ids_1_to_256(tokenizer: Tokenizer) -> None:
    assert tokenizer.token_bytes[0] == b""
    assert tokenizer.token_bytes[1:257] == [bytes([b]) for b in range(256)]
    assert len(set(tokenizer.token_bytes)) == tokenizer.vocab_size


def test_alphabet_is_that_of_the_library() -> None:
    assert sorted(byte_alphabet()) == sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    encode = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str
    assert encode("é中 ")[0][0] == "".join(byte_alphabet()[b] for b in "é中 ".encode())


def test_decode_of_cut_characters_and_eos(tokenizer: Tokenizer) -> None:
    cut = [1 + byte for byte in "你".encode()[:2]]
    assert tokenizer.decode(cut) == "\ufffd"
    assert tokenizer.decode([0, 1 + ord("a"), 0]) == "a"
    assert tokenizer.decode_bytes(cut) == "你".encode()[:2]
    with pytest.raises(IndexError):
        tokenizer.decode([-1])
    with pytest.raises(IndexError):
        tokenizer.decode([tokenizer.vocab_size])


def test_batch_is_each_alone(tokenizer: Tokenizer) -> None:
    for ids, text in zip(tokenizer.encode_batch(HARD), HARD, strict=True):
        assert ids.tolist() == tokenizer.encode(text).tolist()


def test_surrogate_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match="surrogate"):
        tokenizer.encode("a\ud800")


def test_save_and_load(tokenizer: Tokenizer, tmp_path: Path, texts: list[str]) -> None:
    tokenizer.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert (loaded.kind, loaded.vocab_size) == (tokenizer.kind, tokenizer.vocab_size)
    assert loaded.fingerprint == tokenizer.fingerprint
    assert loaded.trained_bytes == tokenizer.trained_bytes
    for text in HARD + texts:
        assert loaded.encode(text).tolist() == tokenizer.encode(text).tolist()


def test_transformers_agrees(tokenizer: Tokenizer, tmp_path: Path, texts: list[str]) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer.save(tmp_path)
    other = transformers.AutoTokenizer.from_pretrained(str(tmp_path), local_files_only=True)
    assert other.eos_token_id == 0
    for text in HARD + texts:
        ids = tokenizer.encode(text).tolist()
        assert other.encode(text, add_special_tokens=False) == ids
        assert other.decode(ids) == text
    # Only the special token and the byte tokens are special cases: a cut character decodes alike, too.
    assert other.decode([1 + 0xE4, 1 + 0xBD]) == tokenizer.decode([1 + 0xE4, 1 + 0xBD])


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("tokenizer.json", None, "missing"),
        ("tokenizer_config.json", None, "missing"),
        ("tokenizer.json", '{"version": "1.0", ', "damaged"),
        ("tokenizer_config.json", "{", "damaged"),
        ("tokenizer_config.json", '{"tokenizer_class": "GPT2Tokenizer"}', "not from wenmo"),
    ],
)
def test_damaged_files(
    tokenizer: Tokenizer, tmp_path: Path, file: str, content: str | None, message: str
) -> None:
    tokenizer.save(tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(content)
    with pytest.raises(ModelError, match=message):
        Tokenizer.load(tmp_path)


def test_only_eos_is_special(tokenizer: Tokenizer) -> None:
    content = json.loads(tokenizer.backend.to_str())
    assert [token["content"] for token in content["added_tokens"]] == [END_OF_TEXT]
    assert content["normalizer"] is None
