import codecs
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenmo.generation.streaming import CharacterStream, StopFilter, TextStream

TEXT = "春眠不觉晓 café 👩‍👩‍👧 naïve，处处闻啼鸟。🎉\r\n"


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


@pytest.mark.parametrize("cut", range(len(TEXT.encode()) + 1))
def test_a_split_at_any_byte_gives_the_same_text(cut):
    stream, data = CharacterStream(), TEXT.encode()
    first = stream.feed(data[:cut])
    assert "�" not in first
    assert first + stream.feed(data[cut:]) + stream.close() == TEXT


@given(st.text(), st.lists(st.integers(0, 200)))
def test_pieces_of_valid_text_are_whole_characters(text, cuts):
    stream = CharacterStream()
    pieces = [stream.feed(part) for part in split(text.encode(), cuts)]
    pieces.append(stream.close())
    assert "".join(pieces) == text
    for end in range(len(pieces)):
        assert text.startswith("".join(pieces[:end]))


@given(st.binary(max_size=60), st.lists(st.integers(0, 60)))
def test_invalid_bytes_are_replaced_as_in_the_full_text(data, cuts):
    stream = CharacterStream()
    text = "".join(stream.feed(part) for part in split(data, cuts)) + stream.close()
    assert text == data.decode("utf-8", "replace")


def test_a_cut_leaves_out_an_unfinished_character():
    stream = CharacterStream()
    assert stream.feed("鸟".encode()[:2]) == ""
    assert stream.close(cut=True) == ""
    assert stream.feed("鸟".encode()[:2]) + stream.close() == "�"


@given(
    st.text("ab停", max_size=30),
    st.lists(st.text("ab停", min_size=1, max_size=4), max_size=3),
    st.lists(st.integers(0, 30)),
)
def test_nothing_of_a_stop_string_is_shown(text, stops, cuts):
    places = sorted({0, len(text), *(c % (len(text) + 1) for c in cuts)})
    filter_ = StopFilter(stops)
    shown = [filter_.feed(text[a:b]) for a, b in itertools.pairwise(places)]
    shown.append(filter_.close())
    joined = "".join(shown)
    assert text.startswith(joined)
    assert not any(stop in joined for stop in stops)
    assert filter_.stopped == any(stop in text for stop in stops)
    if not filter_.stopped:
        assert joined == text


def test_a_stop_string_across_tokens_is_held_back():
    stream = TextStream([b"", b"tell me ", b"EN", b"D", b"ING"], ["END"])
    assert [stream.feed(t) for t in (1, 2, 4)] == ["tell me ", "", "ENING"]
    assert [stream.feed(t) for t in (2, 3)] == ["", ""]
    assert stream.stopped and stream.close() == "" and stream.text == "tell me ENING"


def test_a_stop_string_made_of_split_characters():
    data = "他说。完了".encode()
    stream = TextStream([data[i : i + 1] for i in range(len(data))], ["。完"])
    assert "".join(stream.feed(i) for i in range(len(data))) == "他说"
    assert stream.stopped


def test_what_was_held_back_comes_out_at_the_end():
    stream = TextStream([b"", b"wait EN"], ["END"])
    assert stream.feed(1) == "wait "
    assert stream.close() == "EN"


def test_the_decoder_agrees_with_the_standard_library():
    assert codecs.lookup("utf-8").name == "utf-8"
    data = b"\xf0\x9f\x8e\xe4\xbd\xa0\xff"
    stream = CharacterStream()
    assert "".join(stream.feed(bytes([b])) for b in data) + stream.close() == data.decode("utf-8", "replace")
