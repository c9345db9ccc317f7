"""The encoding that an HTML page says it is in."""

from __future__ import annotations

import codecs
import re

HEAD = 4096
"""Bytes of a page in which browsers look for the declaration; they read 1,024, and some pages put it later."""
_META = re.compile(rb"<meta\s[^>]*?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
_WIDER = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "big5": "big5hkscs",
}
"""Names that browsers take for an encoding with more characters (https://encoding.spec.whatwg.org/#names-and-labels)."""
_OTHER_NAMES = {b"ks_c_5601-1987": "cp949", b"x-sjis": "cp932", b"x-gbk": "gb18030", b"windows-949": "cp949"}


def declared_encoding(head: bytes) -> str | None:
    """Returns the Python codec that a `<meta charset>` names, or None where there is none that is known.

    UTF-16 is left out, as by browsers: a page whose declaration can be read byte by byte is not in it.
    """
    found = _META.search(_COMMENT.sub(b"", head[:HEAD]))
    if found is None:
        return None
    name = found[1].lower()
    try:
        codec = _OTHER_NAMES.get(name) or codecs.lookup(name.decode("ascii")).name
        codecs.getincrementaldecoder(codec)
        " ".encode(codec)
    except (LookupError, UnicodeError):
        return None
    if codec.startswith(("utf-16", "utf-32")):
        return None
    return _WIDER.get(codec, codec)
