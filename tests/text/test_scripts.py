import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from wenmo.text import SCRIPTS, han_share, is_han, script, script_counts


def test_scripts_of_known_characters():
    for characters, name in (
        ("中々〇㐀龥𠀀", "han"),
        ("aZéßＡ", "latin"),
        ("。， 1!“　ー"[:-1], "common"),
        ("あЖ한א", "other"),
    ):
        for character in characters:
            assert script(character) == name, character


@given(st.characters())
def test_names_of_unicode_agree(character):
    name = unicodedata.name(character, "")
    if name.startswith(("CJK UNIFIED IDEOGRAPH", "CJK COMPATIBILITY IDEOGRAPH")):
        assert is_han(character)
    if name.startswith(("LATIN SMALL LETTER", "LATIN CAPITAL LETTER")) and ord(character) < 0x2000:
        assert script(character) == "latin"
    if unicodedata.category(character) in ("Nd", "Zs", "Cc") and ord(character) < 0x100:
        assert script(character) == "common"


@given(st.text(max_size=50))
def test_counts_cover_every_character(text):
    counts = script_counts(text)
    assert sum(counts.values()) == len(text)
    for name in SCRIPTS:
        assert counts[name] == sum(script(character) == name for character in text)


def test_share_of_han():
    assert han_share("中文 ab, 12") == 0.5
    assert han_share("12 !") == 0.0
