import pytest

from wenmo.config import CorpusSettings
from wenmo.corpus import prepare
from wenmo.corpus.declared import declared_encoding

WHOLE = CorpusSettings(valid_fraction=0, test_fraction=0)


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        (b'<html><head><meta charset="gb2312">', "gb18030"),
        (b"<META CHARSET=Big5>", "big5hkscs"),
        (b'<meta http-equiv="Content-Type" content="text/html; charset=EUC-KR">', "cp949"),
        (b"<meta content='text/html;charset=shift_jis' http-equiv=Content-Type>", "cp932"),
        (b'<meta charset="iso-8859-1">', "cp1252"),
        (b'<meta charset="ks_c_5601-1987">', "cp949"),
        (b'<meta charset="utf-8">', "utf-8"),
        (b'<meta charset="utf-16">', None),
        (b'<meta charset="base64">', None),
        (b'<meta charset="no-such-thing">', None),
        (b'<!-- <meta charset="big5"> --><meta name="viewport">', None),
        (b" " * 5000 + b'<meta charset="big5">', None),
        (b"", None),
    ],
)
def test_what_a_page_declares(head, codec):
    assert declared_encoding(head) == codec


def page(text, charset, encoding=None):
    html = f'<html><head><meta charset="{charset}"></head><body><p>{text}</p></body></html>'
    return html.encode(encoding or charset)


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        ("大韓民國 憲法은 1948년에", "euc-kr"),  # could be Chinese as far as the bytes tell
        ("東京", "euc-jp"),
        ("Ærøskøbing på Ærø", "iso-8859-1"),
        ("žluťoučký kůň", "iso-8859-2"),
        ("今天天气很好", "gb2312"),
        ("今天天氣很好", "big5"),
    ],
)
def test_a_page_is_read_as_it_says(text, charset, tmp_path):
    (tmp_path / "page.html").write_bytes(page(text, charset))
    corpus = prepare([tmp_path / "page.html"], tmp_path / "corpus", WHOLE, progress=False)
    assert list(corpus.texts("train")) == [text]


def test_a_page_that_is_wrong_about_itself_is_read_by_its_bytes(tmp_path):
    text = "今天天气很好，我们去公园散步。"
    (tmp_path / "page.html").write_bytes(page(text, "utf-8", "gb18030"))
    corpus = prepare([tmp_path / "page.html"], tmp_path / "corpus", WHOLE, progress=False)
    assert list(corpus.texts("train")) == [text]
    assert any("says it is in utf-8, and is in gb18030" in note for note in corpus.manifest.notes)


def test_a_byte_order_mark_outweighs_the_declaration(tmp_path):
    (tmp_path / "page.html").write_bytes(b"\xef\xbb\xbf" + page("今天天气很好", "gb2312", "utf-8"))
    corpus = prepare([tmp_path / "page.html"], tmp_path / "corpus", WHOLE, progress=False)
    assert list(corpus.texts("train")) == ["今天天气很好"]
