"""What every test shares: one thread, fixed seeds, no network, small texts in Chinese and English."""

import os
import random
import signal
import socket
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent))
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts what runs in the background so
    signal.signal(signal.SIGINT, signal.default_int_handler)

import numpy as np
import pytest
import torch

from texts import documents

LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")


@pytest.fixture(autouse=True)
def one_thread():
    """Tests run side by side and must not fight for cores; one that takes more leaves nothing to the next."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeds():
    """The same random numbers for a test, whichever tests ran before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Fails a test that connects to another machine, even if the code under test hides the error."""
    attempts = []

    def guarded(original):
        def connect(self, address):
            local = self.family == getattr(socket, "AF_UNIX", None) or str(address[0]).startswith(LOOPBACK)
            if not local:
                attempts.append(address)
                raise OSError(f"tests must not use the network: {address}")
            return original(self, address)

        return connect

    monkeypatch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))
    yield attempts
    assert not attempts, f"connected to {attempts}"


@pytest.fixture(scope="session")
def english_documents():
    """About 30 KB of English documents."""
    return documents("en", 30_000)


@pytest.fixture(scope="session")
def chinese_documents():
    """About 30 KB of Chinese documents."""
    return documents("zh", 30_000)


@pytest.fixture(scope="session")
def mixed_documents(english_documents, chinese_documents):
    """Both languages, shuffled: about 60 KB."""
    mixed = [*english_documents, *chinese_documents]
    random.Random(0).shuffle(mixed)
    return mixed


@pytest.fixture(scope="session", params=["bpe", "char", "byte"])
def tiny_tokenizer(request, tiny_tokenizers):
    """Each kind of tokenizer in turn."""
    return tiny_tokenizers[request.param]


@pytest.fixture(scope="session")
def tiny_tokenizers(mixed_documents):
    """Kind -> tokenizer trained on `mixed_documents`, once per session."""
    from wenmo.config import TokenizerSettings
    from wenmo.tokenization.training import train_tokenizer

    total = sum(len(text.encode()) for text in mixed_documents)
    sizes = {"bpe": 500, "char": None, "byte": None}
    return {
        kind: train_tokenizer(
            iter(mixed_documents), TokenizerSettings(kind=kind, vocab_size=size), total, progress=False
        )
        for kind, size in sizes.items()
    }
