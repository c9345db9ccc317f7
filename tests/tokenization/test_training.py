import pytest

from wenmo.config import TokenizerSettings
from wenmo.errors import InputError, OptionError
from wenmo.tokenization import training
from wenmo.tokenization.pretokenization import PATTERN, split_by
from wenmo.tokenization.training import choose_tokenizer, train_tokenizer


def pieces(text: str) -> list[str]:
    splitter = split_by(PATTERN)
    return [text[start:end] for _, (start, end) in splitter.pre_tokenize_str(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("他说：“好。”然后走了", ["他说", "：“", "好", "。”", "然后走了"]),
        ("我用Python写代码", ["我用", "Python", "写代码"]),
        ("It's here, isn't it?", ["It", "'s", " here", ",", " isn", "'t", " it", "?"]),
        ("It’s", ["It", "’s"]),
        ("12345年", ["123", "45", "年"]),
        ("x:\n        return 1\n", ["x", ":", "\n       ", " return", " ", "1", "\n"]),
        ("{\n\t\tgo();\r\n}", ["{", "\n\t\t", "go", "();", "\r\n", "}"]),
        ("完。\n　　次日", ["完", "。", "\n　　", "次日"]),
        ("a  b", ["a", " ", " b"]),
        ("naïve e\u0301", ["naïve", " e\u0301"]),
    ],
)
def test_pieces(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected


def test_merges_form_words_but_never_cross_punctuation(texts: list[str]) -> None:
    tokenizer = train_tokenizer(texts, TokenizerSettings(kind="bpe", vocab_size=600), 1, progress=False)
    tokens = {token.decode("utf-8", "ignore") for token in tokenizer.token_bytes}
    assert "江水" in tokens
    assert " river" in tokens
    punctuation = set("，。：“”")
    for token in tokens:
        marks = sum(c in punctuation for c in token)
        assert marks in (0, len(token)), token


def test_unseen_characters_become_bytes(texts: list[str]) -> None:
    tokenizer = train_tokenizer(texts, TokenizerSettings(kind="char"), 1, progress=False)
    assert len(tokenizer.encode("江水")) == 2
    assert len(tokenizer.encode("龘")) == 3
    assert len(tokenizer.encode("𠮷")) == 4


def test_character_limit_keeps_the_most_frequent() -> None:
    settings = TokenizerSettings(kind="char", vocab_size=258)
    tokenizer = train_tokenizer(["山" * 5 + "水" * 9 + "人" * 2], settings, 1, progress=False)
    assert tokenizer.vocab_size == 258
    assert tokenizer.token_bytes[257] == "水".encode()


@pytest.mark.parametrize("kind", ["bpe", "char", "byte"])
def test_training_is_deterministic(texts: list[str], kind: str) -> None:
    settings = TokenizerSettings(kind=kind)
    first, second = (train_tokenizer(iter(texts), settings, 3000, progress=False) for _ in range(2))
    assert first.fingerprint == second.fingerprint


def test_sizes_follow_the_corpus() -> None:
    corpora = (10**5, 10**6, 2_500_000, 5 * 10**6, 2 * 10**7, 10**8, 10**12)
    sizes = [choose_tokenizer(size, 0.0)[1] for size in corpora]
    assert sizes == [576, 1856, 2880, 4096, 8192, 18304, 65536]
    ample = [choose_tokenizer(size, 0.0, ample=True)[1] for size in corpora]
    assert ample == [576, 1856, 4096, 8192, 8192, 18304, 65536]
    assert choose_tokenizer(2_600_000, 1.0, ample=True)[1] == 6144
    assert choose_tokenizer(10_000_000, 1.0, ample=True)[1] == 8192
    assert 1000 <= choose_tokenizer(1_100_000, 0.0)[1] <= 2000
    assert choose_tokenizer(2_600_000, 1.0)[1] == 4096
    assert choose_tokenizer(2_600_000, 1.0)[1] > choose_tokenizer(2_600_000, 0.0)[1]


def test_settings_decide() -> None:
    assert choose_tokenizer(10**7, 0.5, TokenizerSettings(vocab_size=777)) == ("bpe", 777)
    assert choose_tokenizer(10**7, 0.5, TokenizerSettings(kind="char", vocab_size=999)) == ("char", 999)
    assert choose_tokenizer(10**7, 0.5, TokenizerSettings(kind="byte")) == ("byte", 257)
    with pytest.raises(OptionError, match="vocab-size"):
        choose_tokenizer(10**7, 0.5, TokenizerSettings(kind="byte", vocab_size=300))


def test_no_text_is_refused() -> None:
    for texts in ([], ["", ""]):
        with pytest.raises(InputError, match="no text"):
            train_tokenizer(texts, TokenizerSettings(), 0, progress=False)


def test_huge_corpora_are_sampled_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SAMPLE_BYTES", 1000)
    documents = [f"{index:04d} river\n" for index in range(1000)]
    seen: list[str] = []
    total = sum(len(d) for d in documents)
    monkeypatch.setattr(training, "_pieces", seen.extend)
    monkeypatch.setattr(training, "_train_bpe", lambda *given: None)
    train_tokenizer(documents, TokenizerSettings(), total, progress=False)
    assert 900 <= sum(len(d) for d in seen) <= 1100
    positions = [int(d[:4]) for d in seen]
    assert positions[0] < 50
    assert positions[-1] > 950


@pytest.mark.parametrize(
    ("seconds", "share"), [(None, 1.0), (100.0, 1.0), (0.225, 0.45), (0.02, 0.128)], ids=str
)
def test_a_sample_of_one_long_text_follows_from_the_time(
    monkeypatch: pytest.MonkeyPatch, seconds: float | None, share: float
) -> None:
    text = "".join(f"{index:07d}话" for index in range(100_000))
    seen: list[str] = []
    monkeypatch.setattr(training, "_pieces", seen.extend)
    monkeypatch.setattr(training, "_train_bpe", lambda *given: None)
    settings = TokenizerSettings(kind="bpe", vocab_size=1000)
    train_tokenizer([text], settings, 1_000_000, seconds=seconds, progress=False)
    assert sum(len(piece.encode()) for piece in seen) == pytest.approx(share * 1_000_000, abs=17_000)
    assert int(seen[0].lstrip("话")[:7]) < 10_000 and int(seen[-1][-8:-1]) > 89_000  # from all over it


def test_everything_is_read_when_it_fits(texts: list[str]) -> None:
    total = sum(len(t.encode()) for t in texts)
    tokenizer = train_tokenizer(texts, TokenizerSettings(), total, progress=False)
    assert tokenizer.trained_bytes == total


@pytest.mark.parametrize("compiled", [0, 3])
def test_compiling_is_told(
    texts: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], compiled: int
) -> None:
    monkeypatch.setattr("wenmo.tokenization.byte_pairs.warm_up", lambda: compiled)
    for progress in (False, True):
        train_tokenizer(texts, TokenizerSettings(vocab_size=300), 1_000, progress=progress)
        told = "once after installation" in capsys.readouterr().err
        assert told == (progress and compiled > 0)
