"""The compiled loop cuts where the regular expression of the library does."""

from itertools import pairwise

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from wenmo.tokenization.cutting import character_flags, cut
from wenmo.tokenization.pretokenization import PATTERN

REGEX = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated")
# Blanks, line ends, apostrophes and what may follow them, Han letters, numbers and symbols, marks, digits, symbols.
TRICKY = (
    " \t\n\r\x0b\x85\u2028\u3000\xa0'\u2019sStTrRvVeEmMlLdD\u017f\u212a"
    "ab中文々〇〡⺀⼀é\u0301\u20dd19٣ⅷ½,。、—!😀𠮷"
)
tricky = st.text(st.sampled_from(TRICKY), max_size=40)
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def pieces(text: str) -> list[str]:
    data = text.encode()
    borders = [0, *cut(np.frombuffer(data, np.uint8)).tolist()]
    return [data[a:b].decode() for a, b in pairwise(borders)]


def expected(text: str) -> list[str]:
    return [piece for piece, _ in REGEX.pre_tokenize_str(text)]


@settings(max_examples=1_000)
@given(tricky | any_text)
@example("")
@example("it's we'LL ' st 'S9 x\u2019ſ 'sa 'ſa 'r 're' ''d")
@example("  \n \r\n  word \n  9 \t!  中 \n\u3000x  ")
@example(" 。⺀⺀x 〇1234５６〡〢 ⼀⼀")
def test_pieces_are_those_of_the_library(text: str) -> None:
    assert pieces(text) == expected(text)


def test_every_character_is_of_the_kind_that_the_library_takes_it_for() -> None:
    assigned = [*range(0xD800), *range(0xE000, 0x34000), *range(0xE0000, 0xE0200)]
    text = " ".join(map(chr, assigned))  # what joins a space, and what does not
    assert pieces(text) == expected(text)
    beyond = np.ones(0x110000, bool)
    beyond[assigned] = False
    assert not character_flags()[beyond].any()  # private, or not assigned
