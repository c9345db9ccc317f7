"""The tokenizer: a Hugging Face `tokenizers` object with exact bytes for every token."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import tokenizers

from wenmo.errors import InputError, ModelError
from wenmo.files import write_text

from .backend import END_OF_TEXT
from .pretokenization import byte_alphabet

if TYPE_CHECKING:
    from .byte_pairs import Merges

END_OF_TURN = "<|end|>"
"""Ends what one speaker says; only the tokenizer of a model trained on conversations has it."""

KINDS = ("bpe", "char", "byte")
LONG_CHARACTERS = 20_000
"""Texts that are longer together are encoded by compiled loops, whose loading takes as long as the library does with
less."""
MOST_CHARACTERS = 1 << 29
"""A text that may have more bytes than the loops can number is left to the library."""


class Tokenizer:
    """Text to token ids and back, without loss for every valid string.

    All kinds are byte-level: `bpe` merges bytes inside the pieces of `pretokenization.PATTERN`, `char` has
    the frequent characters of its corpus as tokens and spells the others in bytes, `byte` has the 256 bytes.
    Id 0 is `<|endoftext|>`, ids 1 to 256 are the bytes in order. Further special tokens (`with_special_tokens`)
    have the last ids. No text is ever encoded as a special token, not even one that spells its name.

    Args:
        backend: A byte-level BPE of the `tokenizers` library, as `assemble` makes it.
        kind: `bpe`, `char` or `byte`.
        trained_bytes: UTF-8 bytes of the text it was trained on (a sample of a huge corpus).
        chat_template: How a conversation becomes text with special tokens, as `transformers` reads it (Jinja); None
            for a tokenizer of plain text.
    """

    eos_id = 0

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        kind: str,
        trained_bytes: int = 0,
        chat_template: str | None = None,
    ) -> None:
        self.backend = backend
        self.chat_template = chat_template
        # A document that contains the special token's name is text like any other.
        self.backend.encode_special_tokens = True
        self.kind = kind
        self.trained_bytes = trained_bytes

    @property
    def vocab_size(self) -> int:
        """Number of tokens, special ones included."""
        return int(self.backend.get_vocab_size())

    @cached_property
    def special_tokens(self) -> dict[str, int]:
        """Name of each special token -> id; the end-of-text token first."""
        added = self.backend.get_added_tokens_decoder()
        return {token.content: index for index, token in sorted(added.items()) if token.special}

    @cached_property
    def end_ids(self) -> frozenset[int]:
        """Ids that end a text: the end-of-text token and, where there is one, the end of a turn."""
        return frozenset({self.eos_id, self.special_tokens.get(END_OF_TURN, self.eos_id)})

    def with_special_tokens(self, names: Iterable[str], chat_template: str | None = None) -> Tokenizer:
        """Returns this tokenizer with more special tokens, whose ids follow its own in the order of `names`.

        Args:
            names: Names such as `<|user|>`; those that are special already keep their ids.
            chat_template: Template of the new tokenizer; None keeps the one there is.

        Raises:
            ModelError: When a name is an ordinary token of the vocabulary.
        """
        wanted = [name for name in names if name not in self.special_tokens]
        for name in wanted:
            if self.backend.token_to_id(name) is not None:
                raise ModelError(
                    f"{name} is an ordinary token of this tokenizer and cannot become a special one"
                )
        backend = tokenizers.Tokenizer.from_str(self.backend.to_str())
        backend.add_special_tokens(
            [tokenizers.AddedToken(name, special=True, normalized=False) for name in wanted]
        )
        return Tokenizer(backend, self.kind, self.trained_bytes, chat_template or self.chat_template)

    def encode(self, text: str) -> npt.NDArray[np.int64]:
        """Returns the token ids of `text`, int64 (T,), without any special token.

        Raises:
            InputError: When `text` holds half of a surrogate pair, which is no character.
        """
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: list[str]) -> list[npt.NDArray[np.int64]]:
        """Encodes each text as `encode` does, in parallel.

        Raises:
            InputError: See `encode`.
        """
        try:
            lengths = [len(text) for text in texts]
            if sum(lengths) > LONG_CHARACTERS and max(lengths) < MOST_CHARACTERS and self._merges is not None:
                return self._encode_long(texts, self._merges)
            encodings = self.backend.encode_batch_fast(texts, add_special_tokens=False)
        except (TypeError, UnicodeEncodeError) as error:
            raise InputError(
                "the text holds half of a surrogate pair, which is no character; decode it as UTF-8"
            ) from error
        return [np.asarray(encoding.ids, dtype=np.int64) for encoding in encodings]

    @cached_property
    def _merges(self) -> Merges | None:
        """What the compiled loops need; None for tokenizers that they do not know."""
        if self.kind != "bpe":
            return None
        from .byte_pairs import Merges

        return Merges.read(self.backend)

    def _encode_long(self, texts: list[str], merges: Merges) -> list[npt.NDArray[np.int64]]:
        from .byte_pairs import encode

        workers = min(os.cpu_count() or 1, len(texts))
        if workers == 1:
            return [encode(text, merges) for text in texts]
        size = -(-len(texts) // workers)
        parts = [texts[start : start + size] for start in range(0, len(texts), size)]
        with ThreadPoolExecutor(workers) as pool:
            found = pool.map(lambda part: [encode(text, merges) for text in part], parts)
            return [ids for part in found for ids in part]

    def decode(self, ids: Iterable[int] | npt.NDArray[np.integer]) -> str:
        """Returns the text of token ids; bytes that are no UTF-8 become U+FFFD, eos becomes nothing.

        Raises:
            IndexError: When an id is not in the vocabulary.
        """
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def decode_bytes(self, ids: Iterable[int] | npt.NDArray[np.integer]) -> bytes:
        """Returns the bytes of token ids joined; exact also where a character is cut."""
        token_bytes = self.token_bytes
        values = ids.tolist() if isinstance(ids, np.ndarray) else [int(index) for index in ids]
        if values and min(values) < 0:
            raise IndexError(f"token id {min(values)} is negative")
        return b"".join([token_bytes[index] for index in values])

    @cached_property
    def token_bytes(self) -> list[bytes]:
        """The bytes that each id stands for; a special token stands for none."""
        byte_of = {character: byte for byte, character in enumerate(byte_alphabet())}
        vocabulary = self.backend.get_vocab()
        special = self.special_tokens
        return [
            b"" if token in special else bytes(byte_of[character] for character in token)
            for token in sorted(vocabulary, key=vocabulary.__getitem__)
        ]

    @cached_property
    def byte_lengths(self) -> npt.NDArray[np.int64]:
        """Number of bytes of each token, int64 (V,); 0 for special tokens."""
        return np.array([len(token) for token in self.token_bytes], dtype=np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that decides the ids, in hexadecimal digits."""
        content = json.dumps(json.loads(self.backend.to_str()), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def save(self, directory: Path) -> None:
        """Writes tokenizer.json and tokenizer_config.json, which `transformers.AutoTokenizer` opens.

        Raises:
            ResourceError: When the disk is full or the folder is not writable.
        """
        directory = Path(directory)
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": END_OF_TEXT,
            "bos_token": END_OF_TEXT,
            "pad_token": END_OF_TEXT,
            "clean_up_tokenization_spaces": False,
            "split_special_tokens": True,
            "wenmo": {"kind": self.kind, "trained_bytes": self.trained_bytes},
        }
        if self.chat_template is not None:
            # Other programs encode a conversation as one string, in which the special tokens must be recognised.
            config["split_special_tokens"] = False
            config["additional_special_tokens"] = list(self.special_tokens)[1:]
            config["chat_template"] = self.chat_template
        write_text(directory / "tokenizer.json", self.backend.to_str(pretty=True))
        write_text(
            directory / "tokenizer_config.json", json.dumps(config, indent=2, ensure_ascii=False) + "\n"
        )

    @classmethod
    def load(cls, directory: Path) -> Tokenizer:
        """Opens what `save` wrote.

        Raises:
            ModelError: When a file is missing, damaged, or not a tokenizer of this kind.
        """
        directory = Path(directory)
        try:
            config = json.loads((directory / "tokenizer_config.json").read_text(encoding="utf-8"))
            content = (directory / "tokenizer.json").read_text(encoding="utf-8")
            apart = directory / "chat_template.jinja"  # where newer versions of transformers put it
            template = apart.read_text(encoding="utf-8") if apart.is_file() else None
        except FileNotFoundError as error:
            raise ModelError(
                f"{error.filename} is missing; give a directory that holds a tokenizer"
            ) from error
        except ValueError as error:
            raise ModelError(
                f"{directory}/tokenizer_config.json is damaged ({error}); save it again"
            ) from error
        except OSError as error:
            raise ModelError(f"{directory} cannot be read as a tokenizer: {error.strerror}") from error
        facts = config.get("wenmo") if isinstance(config, dict) else None
        if not isinstance(facts, dict) or facts.get("kind") not in KINDS:
            raise ModelError(f"{directory}/tokenizer_config.json is not from wenmo; train a tokenizer first")
        try:
            backend = tokenizers.Tokenizer.from_str(content)
        except Exception as error:  # the library raises bare Exception for any damage
            raise ModelError(f"{directory}/tokenizer.json is damaged ({error}); save it again") from error
        if backend.token_to_id(END_OF_TEXT) != cls.eos_id:
            raise ModelError(f"{directory}/tokenizer.json does not have {END_OF_TEXT} as token 0")
        template = config.get("chat_template", template)
        return cls(
            backend,
            facts["kind"],
            int(facts.get("trained_bytes", 0)),
            template if isinstance(template, str) else None,
        )
