import numpy as np
import pytest

from wenmo.models import context_mixing, match_model, mixing_tables, recent_text, token_tree


def match(text, context, tables=None):
    """What the match model, having read `text` by characters, expects after `context`: a character and its count."""
    chars = sorted({*text, *context})
    token_bytes = [b"", *(char.encode() for char in chars)]
    tree = token_tree.build(token_bytes, token_tree.shape(token_bytes, None))
    tables = mixing_tables.new_tables(1, 10, 16)
    recent = np.zeros(recent_text.RECENT, np.uint64)
    ids = np.array([chars.index(char) + 1 for char in text])
    context_mixing.run(ids, recent, np.array([0]), tree, tables, True, 0.002)
    recent = np.zeros(recent_text.RECENT, np.uint64)
    context_mixing.read(np.array([chars.index(char) + 1 for char in context]), recent, tree)
    expected = np.zeros(len(tree.depth), np.int8)
    found = np.zeros(2, np.int64)
    keys = np.zeros(len(match_model.MATCHES), np.uint64)
    match_model.match_keys_of(recent, tables.followers, keys)
    match_model.foresee(tables.followers, keys, tree, expected, found)
    if found[0] < 0:
        return None
    place = 0
    while place >= 0:  # the marks lead to the leaf
        place = tree.children[place, expected[place] - 1]
    assert -1 - place == found[0]
    match_model.forget(tree, expected, found)
    assert not expected.any()
    return chars[found[0] - 1], found[1] % match_model.RUNS


@pytest.mark.parametrize(
    ("text", "context", "follows"),
    [
        ("to be or not to be, that is", "xyz to be o", ("r", 1)),
        ("春眠不觉曉處處聞啼鳥。春眠不觉曉處處聞", "春眠不觉", ("曉", 2)),
        ("abcdX abcdX abcdY", "abcd", ("Y", 1)),
        ("to be or not", "nothing alike", None),
    ],
)
def test_a_long_context_foresees_what_followed_it(text, context, follows):
    assert match(text, context) == follows
