import codecs
import io
import os
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from wenmo.corpus.encoding import CUT_OFF, check, detect

SIMPLIFIED = "今天天气很好，我们去公园散步。他说：“你知道吗？这本书是我昨天在图书馆借的。”\n"
TRADITIONAL = "今天天氣很好，我們去公園散步。他說：「你知道嗎？這本書是我昨天在圖書館借的。」\n"
WESTERN = "The café’s naïve façade — “déjà vu” — señor Müller ging über die Straße.\n"
ENGLISH = "It was the best of times, it was the worst of times.\n"


def found(data: bytes):
    return detect(io.BytesIO(data))


@pytest.mark.parametrize("repeat", [1, 50])
@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (SIMPLIFIED, "gb18030"),
        (SIMPLIFIED, "utf-16-le"),
        (SIMPLIFIED, "utf-16-be"),
        (SIMPLIFIED, "utf-8"),
        (TRADITIONAL, "big5"),
        (TRADITIONAL, "gb18030"),
        (TRADITIONAL, "utf-16-le"),
        (WESTERN, "cp1252"),
        (ENGLISH, "utf-16-le"),
        (ENGLISH, "utf-16-be"),
        (ENGLISH + SIMPLIFIED, "gb18030"),
        (ENGLISH + TRADITIONAL, "big5"),
    ],
)
def test_encodings_are_found(text, encoding, repeat):
    assert found((text * repeat).encode(encoding)).encoding == encoding


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_decide(encoding):
    data = (SIMPLIFIED + ENGLISH).encode(encoding)
    detection = found(data)
    assert data.decode(detection.encoding) == SIMPLIFIED + ENGLISH


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("中文", "gb18030"),
        ("你好。", "gb18030"),
        ("中文", "big5"),
        ("Café", "cp1252"),
        ("née", "latin-1"),
        ("“hm”", "cp1252"),
    ],
)
def test_short_texts(text, encoding):
    detection = found(text.encode(encoding))
    assert detection.encoding is not None
    assert text.encode(encoding).decode(detection.encoding) == text


COMMON = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可"
    "也你对生能而子那得于着下自之年过发后作里用道行所然家"
)
COMMON_TRADITIONAL = (
    "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可"
    "也你對生能而子那得於著下自之年過發後作裡用道行所然家"
)


@given(
    st.text(st.sampled_from(COMMON + "，。"), min_size=4, max_size=200), st.sampled_from(["gb18030", "utf-8"])
)
@settings(deadline=None)
def test_simplified_text_round_trips(text, encoding):
    assert text.encode(encoding).decode(found(text.encode(encoding)).encoding) == text


@given(st.text(st.sampled_from(COMMON_TRADITIONAL + "，。"), min_size=4, max_size=200))
@settings(deadline=None)
@example("。。行說")
def test_traditional_text_round_trips(text):
    """Fewer than eight characters (as in Korean) may be refused, but are never read as something else."""
    data = text.encode("big5")
    encoding = found(data).encoding
    if sum(character not in "，。" for character in text) >= 8:
        assert encoding is not None
    assert encoding is None or data.decode(encoding) == text


@given(
    st.lists(
        st.sampled_from(["café", "naïve", "über", "Straße", "señor", "plain", "words", "“so”"]), min_size=1
    )
)
@settings(deadline=None)
def test_western_text_round_trips(tokens):
    text = " ".join(tokens)
    assert text.encode("cp1252").decode(found(text.encode("cp1252")).encoding) == text


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_a_verdict_always_holds(data):
    """Whatever is found decodes the whole file; otherwise there is a reason."""
    detection = found(data)
    if detection.encoding is None:
        assert detection.reason in ("binary", "undecodable", "mixed encodings")
        assert detection.detail
    else:
        codecs.getincrementaldecoder(detection.encoding)("strict").decode(data)
        if CUT_OFF not in detection.note:  # all but the beginning of a last character
            data.decode(detection.encoding)


@given(st.text(max_size=300))
@settings(deadline=None)
def test_utf8_is_always_utf8(text):
    assume("\x00" not in text)
    data = text.encode("utf-8")
    assume(
        not data.startswith(
            (b"BM\x00", b"RIFF", b"PK", b"%PDF-", b"ID3", b"OggS", b"PAR1", b"GIF8", b"SQLite")
        )
    )
    assert data.decode(found(data).encoding).lstrip("\ufeff") == text.lstrip("\ufeff")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (SIMPLIFIED.encode(), SIMPLIFIED.encode("gb18030")),
        (SIMPLIFIED.encode("gb18030"), SIMPLIFIED.encode()),
        (SIMPLIFIED.encode("gb18030"), TRADITIONAL.encode("big5")),
        (WESTERN.encode(), WESTERN.encode("cp1252")),
    ],
)
def test_mixed_files_are_refused_with_the_place(first, second):
    detection = found(first * 40 + second * 40)
    assert detection.encoding is None
    assert detection.reason in ("mixed encodings", "undecodable")
    assert "byte" in detection.detail and "line" in detection.detail


def test_late_change_is_found_and_placed():
    detection = found(SIMPLIFIED.encode("gb18030") * 30_000 + TRADITIONAL.encode("big5") * 200)
    assert detection.reason == "mixed encodings"
    assert "(line 30" in detection.detail or "(line 29" in detection.detail


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "gb18030", "big5"])
def test_a_file_that_ends_within_a_character_is_read_but_for_it(encoding):
    text = TRADITIONAL if encoding == "big5" else SIMPLIFIED
    cut = (text * 3 + "山").encode(encoding)[:-1]
    for detection in (found(cut), check(io.BytesIO(cut), encoding)):
        assert (detection.encoding, detection.note) == (encoding, CUT_OFF)


def test_one_broken_byte_in_utf8_is_named():
    data = SIMPLIFIED.encode() * 3 + b"\xff" + SIMPLIFIED.encode()
    detection = found(data)
    assert detection.reason == "mixed encodings"
    assert f"byte {3 * len(SIMPLIFIED.encode())} (line 4)" in detection.detail


@pytest.mark.parametrize(
    "data", [b"\x89PNG\r\n\x1a\n123", b"%PDF-1.7 text", bytes(range(256)) * 8, b"\x00" * 64]
)
def test_binary_files(data):
    assert found(data).reason == "binary"


KOREAN = "오늘은 날씨가 아주 좋아서 우리는 공원에 산책하러 갔다. 그는 도서관에서 빌린 책을 읽고 있었다.\n"
JAPANESE = "今日は天気がとても良いので、私たちは公園へ散歩に行きました。彼は図書館で借りた本を読んでいた。\n"


@pytest.mark.parametrize("repeat", [1, 50])
@pytest.mark.parametrize(
    ("text", "encoding", "language"),
    [
        (KOREAN, "euc_kr", "Korean"),
        ("안녕하세요. " + ENGLISH, "euc_kr", "Korean"),
        (JAPANESE, "shift_jis", "Japanese"),
        (JAPANESE, "euc_jp", "Japanese"),
        ("こんにちは " + ENGLISH, "shift_jis", "Japanese"),
    ],
)
def test_korean_and_japanese_are_not_taken_for_chinese(text, encoding, language, repeat):
    data = (text * repeat).encode(encoding)
    detection = found(data)
    assert detection.encoding is not None, detection
    assert data.decode(detection.encoding) == text * repeat
    assert language in detection.note


@pytest.mark.parametrize("text", ["서울", "大韓民國 憲法은"])
def test_what_could_be_either_is_refused(text):
    detection = found(text.encode("euc_kr"))
    assert detection.encoding is None and "--corpus.encoding" in detection.detail


@pytest.mark.parametrize(("text", "encoding"), [(JAPANESE, "iso2022_jp"), (KOREAN, "iso2022_kr")])
def test_mail_in_seven_bits_is_refused_by_name(text, encoding):
    detection = found(text.encode(encoding))
    assert detection.encoding is None and encoding in detection.detail
    assert found(b"\x1b[1mbold\x1b[0m is no mail").encoding == "utf-8"


@given(
    st.text(
        st.sampled_from("이다는에의을를가고하지은한도로사기자리아시어나인서대그해" + " ."),
        min_size=12,
        max_size=200,
    )
)
@settings(deadline=None)
def test_korean_text_round_trips_or_is_refused(text):
    assume(sum(character not in " ." for character in text) >= 8)
    data = text.encode("euc_kr")
    detection = found(data)
    assert detection.encoding is None or data.decode(detection.encoding) == text


def test_named_encoding_is_checked():
    assert check(io.BytesIO("é".encode("latin-1")), "latin-1").encoding == "latin-1"
    assert "byte 4 (line 2)" in check(io.BytesIO(b"abc\n\xff"), "utf-8").detail


TWINS = Path(os.__file__).parent / "test" / "cjkencodings"


@pytest.mark.parametrize("name", ["gb2312", "gbk", "gb18030", "big5"])
def test_files_of_the_standard_library(name):
    path = TWINS / f"{name}.txt"
    if not path.is_file():
        pytest.skip("this Python comes without its test folder")
    twin = path.with_name(f"{path.stem}-utf8.txt").read_text(encoding="utf-8")
    data = path.read_bytes()
    detection = found(data)
    assert detection.encoding is not None, detection
    assert data.decode(detection.encoding) == twin


@pytest.mark.parametrize(
    "name", ["euc_jp", "shift_jis", "cp949", "johab", "shift_jisx0213", "iso2022_jp", "iso2022_kr"]
)
def test_japanese_and_korean_files_of_the_standard_library_are_right_or_refused(name):
    path = TWINS / f"{name}.txt"
    if not path.is_file():
        pytest.skip("this Python comes without its test folder")
    twin = path.with_name(f"{path.stem}-utf8.txt").read_text(encoding="utf-8")
    data = path.read_bytes()
    detection = found(data)
    if name in ("euc_jp", "shift_jis"):
        assert detection.encoding is not None, detection
    assert detection.encoding is None or data.decode(detection.encoding) == twin
