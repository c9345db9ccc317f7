import dataclasses

import numpy as np
import pytest
from fake_models import ByteVocabulary, HashModel, ScriptModel, WordVocabulary
from hypothesis import given, settings
from hypothesis import strategies as st

from wenmo.errors import OptionError
from wenmo.generation.decoding import complete, generate_steps, read_steps
from wenmo.generation.options import resolve_settings
from wenmo.generation.reader import Reader

BYTES = ByteVocabulary()
NOTHING = np.array([], np.int64)


def write(model, prompt="", vocabulary=BYTES, **options):
    return complete(model, vocabulary, BYTES.encode(prompt), resolve_settings(options))


def script(text: str, prompt: str = "") -> ScriptModel:
    return ScriptModel([*BYTES.encode(text)], prompt=1 + len(prompt.encode()))


@pytest.mark.parametrize("prompt", ["", "从前，", "once"])
def test_the_script_is_written_to_the_end_of_the_document(prompt):
    found = write(script("有一只猫🐱.", prompt), prompt)[0]
    assert (found.text, found.finish_reason) == ("有一只猫🐱.", "stop")
    assert found.tokens == [*BYTES.encode("有一只猫🐱."), 0]
    np.testing.assert_allclose(found.logprobs, 0, atol=1e-6)


def test_every_context_begins_with_the_end_of_text_token():
    model = HashModel(257)
    seen = []
    forward = model.forward
    model.forward = lambda ids, state=None, lengths=None: (seen.append(ids.tolist()), forward(ids, state))[1]
    write(model, "ab", max_tokens=1)
    assert seen == [[[0, 98, 99]]]


def test_greedy_follows_the_likeliest_token():
    model = HashModel(257)
    found = write(model, "a", temperature=0, max_tokens=12, ignore_eos=True)[0]
    context = [0, 98]
    for token, logprob in zip(found.tokens, found.logprobs, strict=True):
        logits = model.row(context).astype(np.float64)
        expected = logits - np.log(np.exp(logits).sum())
        logits[0] = -np.inf
        assert token == int(logits.argmax())
        assert logprob == pytest.approx(expected[token], abs=1e-5)
        context.append(token)
    assert len(found.tokens) == 12 and found.finish_reason == "length"


def test_the_prompt_is_read_once_and_finished_rows_leave_the_batch():
    model = HashModel(5, scale=1.0)
    vocabulary = WordVocabulary([b"a", b"b", b"c", b"d"])
    found = complete(
        model, vocabulary, np.array([1, 2, 3]), resolve_settings({"n": 6, "seed": 3, "max_tokens": 30})
    )
    assert model.calls[0] == (1, 4)
    assert all(length == 1 for _, length in model.calls[1:])
    rows = [sum(len(c.tokens) > step for c in found) for step in range(1, 30)]
    assert [batch for batch, _ in model.calls[1:]] == [r for r in rows if r]
    assert len({c.text for c in found}) > 1


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_a_seed_repeats_and_a_sample_does_not_depend_on_the_others(seed):
    options = {"seed": seed, "max_tokens": 20, "temperature": 1.5, "top_p": 1.0, "min_p": 0.0}
    four = write(HashModel(257), "x", n=4, **options)
    assert four == write(HashModel(257), "x", n=4, **options)
    assert four[:1] == write(HashModel(257), "x", **options)
    assert len({c.text for c in four}) == 4
    assert four != write(HashModel(257), "x", n=4, **{**options, "seed": seed + 1})


@pytest.mark.parametrize("window", [4, 7, 16])
def test_a_bounded_model_writes_on_by_reading_half_its_window_again(window):
    bounded, free = HashModel(257, order=2, max_positions=window), HashModel(257, order=2)
    options = {"temperature": 0, "max_tokens": 50, "ignore_eos": True}
    assert write(bounded, "abc", **options) == write(free, "abc", **options)


def test_a_prompt_longer_than_the_window_keeps_its_end_and_says_so():
    bounded, free = HashModel(257, order=2, max_positions=8), HashModel(257, order=2)
    found, expected = (write(m, "长长长长的提示", temperature=0, max_tokens=9)[0] for m in (bounded, free))
    assert found.tokens == expected.tokens
    assert "21 tokens" in found.notes[0] and not expected.notes


@pytest.mark.parametrize("stop", ["猫", "一只", "只猫🐱", "🐱."])
def test_a_stop_string_ends_the_text_and_is_not_shown(stop):
    text = "有一只猫🐱."
    found = write(script(text), stop=(stop,))[0]
    assert found.text == text[: text.index(stop)]
    assert found.finish_reason == "stop"


def test_a_stop_string_in_the_prompt_does_not_count():
    assert write(script("go on", "stop"), "stop", stop=("stop",))[0].text == "go on"


def test_ignoring_the_end_of_the_document_goes_on():
    found = write(script("ab"), ignore_eos=True, max_tokens=10, seed=0)[0]
    assert len(found.tokens) == 10 and 0 not in found.tokens


def test_a_limit_inside_a_character_leaves_it_out():
    found = write(script("好鸟"), max_tokens=5)[0]
    assert (found.text, found.finish_reason, len(found.tokens)) == ("好", "length", 5)


@given(
    st.text("a猫🐱\n", max_size=8),
    st.lists(st.text("a猫🐱\n", min_size=1, max_size=3), max_size=2),
    st.integers(1, 30),
)
@settings(max_examples=40, deadline=None)
def test_the_stream_concatenates_to_the_completion(text, stops, limit):
    options = resolve_settings({"stop": tuple(stops), "max_tokens": limit})
    steps = list(generate_steps(script(text), BYTES, NOTHING, options))
    joined = "".join(step.text for step in steps)
    assert joined == complete(script(text), BYTES, NOTHING, options)[0].text
    assert text.startswith(joined) and not any(stop in joined for stop in stops)
    assert [step.finish_reason for step in steps[:-1]] == [None] * (len(steps) - 1)


def test_random_bytes_stream_as_they_decode():
    options = resolve_settings(
        {"seed": 1, "max_tokens": 200, "temperature": 3.0, "ignore_eos": True, "top_p": 1.0, "min_p": 0.0}
    )
    found = complete(HashModel(257, scale=0.1), BYTES, NOTHING, options)[0]
    assert "�" in found.text
    assert BYTES.decode(found.tokens).startswith(found.text)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"stop": ("",)}, "stop"),
        ({"length_penalty": 2.0}, "length_penalty"),
        ({"beams": 2, "top_k": 5}, "top_k"),
        ({"beams": 2, "temperature": 0.5}, "temperature"),
        ({"beams": 2, "n": 3}, "n=3"),
        ({"temprature": 1.0}, "temprature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"top_p": "high"}, "top_p"),
    ],
)
def test_wrong_options_are_named(options, word):
    with pytest.raises(OptionError, match=word):
        resolve_settings(options)


def test_saved_defaults_give_way_to_given_options():
    saved = resolve_settings({"temperature": 0.7, "top_k": 20, "seed": 4})
    assert resolve_settings({"top_k": 3}, saved).temperature == 0.7
    assert resolve_settings({"beams": 3}, saved).beams == 3
    found = resolve_settings({"samplers": ("top_p", "temperature")}, saved)
    assert (found.top_k, found.temperature, found.seed) == (0, 0.7, 4)


def test_completions_are_plain_data():
    fields = set(dataclasses.asdict(write(script("a"))[0]))
    assert fields == {"text", "tokens", "logprobs", "finish_reason", "notes", "precision"}


def test_prompts_of_one_length_are_continued_together_as_each_alone():
    from wenmo.config import GenerationSettings
    from wenmo.generation.decoding import continue_each

    model = HashModel(257)
    prompts = np.stack([BYTES.encode(text) for text in ("春天", "abcdef", "x=1+y;")])
    settings = GenerationSettings(max_tokens=12, temperature=0)
    together = {row: [] for row in range(3)}
    for step in continue_each(model, BYTES, prompts, settings):
        together[step.row].append(step.token)
    for row, prompt in enumerate(prompts):
        assert together[row] == complete(model, BYTES, prompt, settings)[0].tokens


def test_every_end_ends_a_text_and_silent_tokens_are_never_drawn():
    from wenmo.config import GenerationSettings

    class Chat(ByteVocabulary):
        token_bytes = (*ByteVocabulary.token_bytes, b"", b"")  # 257 ends a turn, 258 is a mark
        end_ids = frozenset({0, 257})

    vocabulary = Chat()
    drawn = [
        completion
        for seed in range(8)
        for completion in complete(
            HashModel(259, scale=0.1),
            vocabulary,
            BYTES.encode("a"),
            GenerationSettings(max_tokens=400, seed=seed, n=4),
        )
    ]
    ends = [completion.tokens[-1] for completion in drawn if completion.finish_reason == "stop"]
    assert {0, 257} == set(ends)
    assert not any(258 in completion.tokens for completion in drawn)
    endless = GenerationSettings(max_tokens=50, ignore_eos=True, n=8, seed=1)
    for completion in complete(HashModel(259, scale=0.1), vocabulary, BYTES.encode("a"), endless):
        assert not {0, 257, 258} & set(completion.tokens)


def test_a_text_that_may_not_be_empty_goes_on_until_there_is_more_than_white_space():
    pieces = [b" ", "\u3000".encode(), "是".encode(), b"yes"]
    words = WordVocabulary(pieces)
    ending = HashModel(len(pieces) + 1, scale=0.3)
    row = ending.row
    ending.row = lambda context: row(context) + np.float32([60, 0, 0, 0, 0])  # would end at once
    settings = resolve_settings({"seed": 3, "n": 40, "max_tokens": 200})
    prompt = np.array([3], dtype=np.int64)

    def written(**options):
        steps = list(read_steps(Reader(ending, prompt, words.eos_id), words, settings, **options))
        return [[step.token for step in steps if step.row == number] for number in range(40)]

    assert all(tokens == [0] for tokens in written())
    for tokens in written(nonempty=True):
        assert tokens[-1] == 0 and tokens[-2] in (3, 4)  # ends at the first chance, not before
        assert len(tokens) < 200
    assert any(tokens[0] in (1, 2) for tokens in written(nonempty=True))  # white space may come first
