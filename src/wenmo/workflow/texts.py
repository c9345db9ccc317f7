"""From paths to token streams."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wenmo.config import Recipe
from wenmo.corpus import Corpus, prepare
from wenmo.errors import InputError
from wenmo.files import atomic_directory
from wenmo.tokenization.stream import TokenStream
from wenmo.tokenization.tokenizer import Tokenizer
from wenmo.tokenization.training import train_tokenizer
from wenmo.training import hardware
from wenmo.training.budget import may_sample, recipe_seconds
from wenmo.training.world import processes

SPLITS = ("train", "valid", "test")
TOKENIZER_SHARE = 0.02
"""Share of the budget in which BPE is trained, on a sample of the text where all of it would take longer."""
AMPLE_SECONDS = 300.0
"""Budget from which a text of a few megabytes gets more tokens; see `choose_tokenizer`. In a minute the network sees
each of them too rarely."""
JOINED_TOKENS = 1 << 16
"""Tokens whose bytes are joined at a time: as a Python list each of them takes 40 bytes."""
LEAST_TOKENS = 64
"""Fewer training tokens than this are not a text to learn from."""


@dataclass(frozen=True)
class Texts:
    """Everything that models are trained and scored on.

    Attributes:
        corpus: The prepared corpus.
        tokenizer: Trained on the training split alone.
        train: Token stream of the training split.
        valid: Token stream of the split that steers training.
        test: Token stream of the split for the final score.
    """

    corpus: Corpus
    tokenizer: Tokenizer
    train: TokenStream
    valid: TokenStream
    test: TokenStream

    @property
    def bytes_per_token(self) -> float:
        """UTF-8 bytes per training token."""
        return self.train.num_bytes / max(len(self.train.ids), 1)

    def bytes_of(self, ids: npt.NDArray[np.integer]) -> bytes:
        """The UTF-8 bytes of tokens, one NUL byte for each end of a document."""
        table = [piece or b"\0" for piece in self.tokenizer.token_bytes]
        parts = (ids[start : start + JOINED_TOKENS].tolist() for start in range(0, len(ids), JOINED_TOKENS))
        return b"".join(b"".join([table[token] for token in part]) for part in parts)

    def num_bytes(self, ids: npt.NDArray[np.integer]) -> int:
        """UTF-8 bytes of tokens; the ends of documents count nothing."""
        return int(self.tokenizer.byte_lengths[ids].sum())


def open_corpus(paths: Sequence[str], recipe: Recipe, directory: Path, progress: bool) -> Corpus:
    """Opens the prepared corpus that `paths` names, or prepares one in `directory`.

    What had to be left out is said on stderr, also where no progress is shown.
    """
    if len(paths) == 1 and paths[0] != "-" and (Path(paths[0]) / "manifest.json").is_file():
        return Corpus.open(Path(paths[0]))
    corpus = prepare(list(paths), directory, recipe.corpus, progress=progress)
    for line in corpus.manifest.losses():
        print(line, file=sys.stderr)
    return corpus


def ample(recipe: Recipe) -> bool:
    """Whether a run has the time, and may sample the softmax, so that more tokens pay; see `choose_tokenizer`."""
    budget, device = recipe_seconds(recipe), hardware.choose_device(recipe.training.device)
    enough = budget is not None and budget >= AMPLE_SECONDS
    return enough and may_sample(recipe.training, device, processes())


def load_texts(corpus: Corpus, recipe: Recipe, directory: Path, progress: bool) -> Texts:
    """Trains the tokenizer and builds the token streams, or opens those that were built from the same corpus.

    Raises:
        InputError: When there is too little text.
    """
    for split in SPLITS[:2]:
        if corpus.count(split) == 0:
            raise InputError(
                f"{corpus.path} has no {split} text; prepare it again with --{split}-fraction above 0"
                if split != "train"
                else f"{corpus.path} has no training text"
            )
    if progress and (note := corpus.manifest.unheeded(recipe.corpus)):
        print(note, file=sys.stderr)
    tokenizer_path = directory / "tokenizer"
    if (tokenizer_path / "tokenizer.json").is_file():
        tokenizer = Tokenizer.load(tokenizer_path)
    else:
        texts = (text for text, _ in corpus.parts("train"))
        budget = recipe_seconds(recipe)
        seconds = None if budget is None else TOKENIZER_SHARE * budget
        tokenizer = train_tokenizer(
            texts,
            recipe.tokenizer,
            corpus.bytes("train"),
            seconds=seconds,
            ample=ample(recipe),
            progress=progress,
        )
        with atomic_directory(tokenizer_path) as temporary:
            tokenizer.save(temporary)
    streams = {split: _stream(corpus, tokenizer, split, directory, progress) for split in SPLITS}
    if len(streams["train"].ids) < LEAST_TOKENS:
        raise InputError(
            f"{corpus.path} holds only {len(streams['train'].ids)} tokens of training text; "
            f"give at least {LEAST_TOKENS}, better a few thousand characters"
        )
    test = streams["test"] if len(streams["test"].ids) else streams["valid"]
    return Texts(corpus, tokenizer, streams["train"], streams["valid"], test)


def _stream(corpus: Corpus, tokenizer: Tokenizer, split: str, directory: Path, progress: bool) -> TokenStream:
    path = directory / "tokens" / split
    try:
        return TokenStream.open(path, tokenizer=tokenizer, corpus_fingerprint=corpus.fingerprint)
    except InputError:  # not there yet, damaged, or made from something else
        return TokenStream.build(
            tokenizer,
            corpus.parts(split),
            path,
            corpus_fingerprint=corpus.fingerprint,
            total_bytes=corpus.bytes(split),
            progress=progress,
        )
