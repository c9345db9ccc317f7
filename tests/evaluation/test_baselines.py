import lzma
import random

import pyppmd
import pytest

from wenmo.evaluation import baselines
from wenmo.evaluation.baselines import Compressors, documents_bytes, ppmd, xz


def prose(seed: int, words: int) -> bytes:
    vocabulary = ["river", "boat", "water", "harbour", "night", "江水", "老船夫", "港口", "。", "，", "\n"]
    return " ".join(random.Random(seed).choices(vocabulary, k=words)).encode()


TRAIN, HELD = prose(0, 20_000), prose(1, 3_000)


def test_documents_end_in_nul() -> None:
    assert documents_bytes(["江", "a"]) == "江".encode() + b"\x00a\x00"
    assert documents_bytes([]) == b""


def test_ppmd_is_the_difference_of_two_files() -> None:
    def size(data: bytes) -> int:
        encoder = pyppmd.Ppmd8Encoder(6, 256 << 20)
        return len(encoder.encode(data) + encoder.flush())

    exact = size(TRAIN + HELD) - size(TRAIN)
    assert exact - 4 <= ppmd(TRAIN, HELD) * len(HELD) / 8 <= exact
    alone = size(HELD)
    assert alone - 9 <= ppmd(b"", HELD) * len(HELD) / 8 <= alone


def test_xz_sees_all_of_the_training_text() -> None:
    noise = random.Random(2).randbytes(1_000_000)
    # The held-out bytes stand at the very beginning: incompressible unless the dictionary reaches back there.
    assert xz(noise, noise[:20_000]) < 0.3
    alone = len(lzma.compress(HELD, preset=9 | lzma.PRESET_EXTREME, check=lzma.CHECK_NONE))
    assert xz(b"", HELD) == pytest.approx(alone * 8 / len(HELD), abs=0.02)


@pytest.mark.parametrize("compressor", [ppmd, xz])
def test_priming_helps_and_is_bounded(compressor, monkeypatch: pytest.MonkeyPatch) -> None:
    primed, alone = compressor(TRAIN, HELD), compressor(b"", HELD)
    assert primed < alone < 8
    monkeypatch.setattr(baselines, "PRIMING_BYTES", 1000)
    assert compressor(TRAIN, HELD) == compressor(TRAIN[-1000:], HELD) > primed
    with pytest.raises(ValueError, match="no held-out text"):
        compressor(TRAIN, b"")


def test_reading_before_the_held_out_text_is_known_changes_nothing() -> None:
    held, read = HELD[:5_000], 30_000
    found = Compressors(TRAIN, len(held), read).score(held)
    assert found == {"ppmd": ppmd(TRAIN, held), "xz": xz(TRAIN[-read:], held)}

    def size(data: bytes) -> int:
        filters = [
            {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": len(TRAIN + held)}
        ]
        return len(lzma.compress(data, format=lzma.FORMAT_XZ, check=lzma.CHECK_NONE, filters=filters))

    assert xz(TRAIN, held) * len(held) / 8 == size(TRAIN + held) - size(TRAIN)
    with pytest.raises(ValueError, match="no held-out text"):
        Compressors(TRAIN, 0).score(b"")
