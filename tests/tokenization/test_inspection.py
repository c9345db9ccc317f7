import pytest

from wenmo.tokenization.backend import assemble
from wenmo.tokenization.inspection import inspect_tokenizer, readable, render_inspection, segment
from wenmo.tokenization.tokenizer import Tokenizer


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (b" river", "␣river"),
        ("江水".encode(), "江水"),
        ("你".encode()[:2], "‹E4 BD›"),
        ("水".encode() + "你".encode()[:1], "水‹E4›"),
        ("你".encode()[1:] + "水".encode(), "‹BD A0›水"),
        (b"\n\t", "⏎⇥"),
        (b"\x00\r", "\\x00\\r"),
        (b"\xff", "‹FF›"),
        (b"", ""),
    ],
)
def test_readable(token: bytes, shown: str) -> None:
    assert readable(token) == shown


def test_segment() -> None:
    tokenizer = Tokenizer(assemble("char", "江水"), "char")
    assert segment(tokenizer, "江 水你") == ["江", "␣", "水", "‹E4›", "‹BD›", "‹A0›"]


def test_numbers_by_hand() -> None:
    tokenizer = Tokenizer(assemble("char", "江水"), "char")
    found = inspect_tokenizer(tokenizer, ["江水你", "", "ab"])
    assert (found.bytes, found.characters, found.tokens) == (11, 5, 7)
    assert found.bytes_per_token == pytest.approx(11 / 7)
    assert found.bytes_per_token_by_script == pytest.approx({"han": 9 / 5, "latin": 1.0})
    assert found.split_characters == pytest.approx(1 / 5)
    assert found.whole_characters == pytest.approx(4 / 5)
    assert found.vocabulary_used == pytest.approx(7 / 259)
    assert {each.count for each in found.most_frequent} == {1}
    assert found.example == ["江", "水", "‹E4›", "‹BD›", "‹A0›"]


def test_tokens_by_script_add_up(tokenizer: Tokenizer, texts: list[str]) -> None:
    found = inspect_tokenizer(tokenizer, texts)
    assert found.tokens == sum(len(tokenizer.encode(text)) for text in texts)
    assert found.bytes == sum(len(text.encode()) for text in texts)
    rendered = render_inspection(found)
    assert f"{found.tokens:,} tokens" in rendered
    assert found.most_frequent[0].token in rendered
    if tokenizer.kind == "bpe":
        assert found.longest[0].token == max((each.token for each in found.longest), key=len)
        assert found.bytes_per_token > 2


def test_without_text(tokenizer: Tokenizer) -> None:
    found = inspect_tokenizer(tokenizer, [])
    assert (found.tokens, found.bytes, found.bytes_per_token) == (0, 0, 0.0)
    assert render_inspection(found).startswith(f"{tokenizer.kind} tokenizer")
