"""The compiled loops merge as the library does."""

import json
import random
import subprocess
import sys

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from wenmo.errors import InputError
from wenmo.tokenization import byte_pairs
from wenmo.tokenization import tokenizer as tokenizer_module
from wenmo.tokenization.backend import assemble
from wenmo.tokenization.byte_pairs import Merges, encode
from wenmo.tokenization.tokenizer import Tokenizer

# Merges that spell a token twice, use one before it is spelled again, and name a pair twice.
TWICE = ["a b", "b c", "ab c", "abc abc", "a bc", "aa a", "a a", "aa aa", "c a", "ab ab", "a bc", "b a"]


def with_merges(merges: list[str]) -> tokenizers.Tokenizer:
    content = json.loads(assemble("bpe").to_str())
    vocabulary = content["model"]["vocab"]
    for merge in merges:
        vocabulary.setdefault(merge.replace(" ", ""), len(vocabulary))
    content["model"]["merges"] = [merge.split(" ") for merge in merges]
    return tokenizers.Tokenizer.from_str(json.dumps(content))


def same(backend: tokenizers.Tokenizer, text: str) -> bool:
    merges = Merges.read(backend)
    assert merges is not None
    return encode(text, merges).tolist() == backend.encode(text, add_special_tokens=False).ids


@pytest.fixture(params=[256, 2], ids=["short", "queue"])
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """LONG is a constant of the compiled code; the function for long pieces is called for short ones too."""
    if request.param == 2:

        def queued(data, ends, keys, ranks, results, first_use, byte_ids, out, pending):
            place = written = 0
            for end in ends:
                written += byte_pairs._encode_long(
                    data[place:end], keys, ranks, results, byte_ids, out[written:]
                )
                place = end
            return written

        monkeypatch.setattr(byte_pairs, "_encode", queued)


@pytest.mark.usefixtures("_both_ways")
def test_merges_that_spell_a_token_twice() -> None:
    backend = with_merges(TWICE)
    rng = random.Random(0)
    for size in [*range(12), *rng.choices(range(12, 60), k=40)]:
        assert same(backend, "".join(rng.choices("abc", k=size)))


@settings(max_examples=300)
@given(st.permutations(TWICE), st.text("abc ", max_size=30))
def test_merges_in_any_order(merges: list[str], text: str) -> None:
    known, order = {"a", "b", "c"}, []
    while len(order) < len(set(merges)):  # what a merge joins must be there before
        ready = [m for m in merges if m not in order and set(m.split(" ")) <= known]
        if not ready:
            break
        order.append(ready[0])
        known.add(ready[0].replace(" ", ""))
    assert same(with_merges(order), text)


def test_long_pieces(tokenizer: Tokenizer) -> None:
    if tokenizer.kind != "bpe":
        assert tokenizer._merges is None
        return
    rng = random.Random(1)
    for letters in ("a", "ab", "江水老船夫在夜", "thequickr"):
        for size in (byte_pairs.LONG - 1, byte_pairs.LONG, byte_pairs.LONG + 1, 3_000):
            assert same(tokenizer.backend, "".join(rng.choices(letters, k=size)))


def test_long_texts_are_encoded_as_short_ones(
    tokenizer: Tokenizer, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given_texts = [*texts, "", "<|endoftext|> x", "\x00\n  it's"]
    expected = [ids.tolist() for ids in tokenizer.encode_batch(given_texts)]
    more = tokenizer.with_special_tokens(["<|user|>"])
    monkeypatch.setattr(tokenizer_module, "LONG_CHARACTERS", 0)
    for each in (tokenizer, more):
        found = each.encode_batch(given_texts)
        assert [ids.tolist() for ids in found] == expected
        assert all(ids.dtype == np.int64 for ids in found)
    with pytest.raises(InputError, match="surrogate"):
        tokenizer.encode("a\ud800")


def test_what_cuts_or_merges_in_another_way_is_left_to_the_library() -> None:
    backend = with_merges(TWICE)
    assert Merges.read(backend) is not None
    backend.normalizer = tokenizers.normalizers.NFKC()
    assert Merges.read(backend) is None
    backend = with_merges(TWICE)
    backend.model.dropout = 0.1
    assert Merges.read(backend) is None
    other = with_merges(TWICE)
    other.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel()
    assert Merges.read(other) is None


def test_what_is_kept_is_not_compiled_again() -> None:
    byte_pairs.warm_up()
    program = "from wenmo.tokenization import byte_pairs; print(byte_pairs.warm_up())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0"]
