"""What a teacher says of every token of a text, on disk: its likeliest tokens and their probabilities."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wenmo.errors import ModelError
from wenmo.files import disk_errors, write_text

PLACES = 32
"""Most tokens that are named for a place."""
VERSION = 1


@dataclass(frozen=True)
class Targets:
    """Memory-mapped targets: place i says what may stand where token i of the text stands.

    Attributes:
        top: Named tokens, uint16 or uint32 (N, K).
        probabilities: Their probabilities, float16 (N, K); 0 where none is named.
    """

    top: npt.NDArray[np.unsignedinteger[Any]]
    probabilities: npt.NDArray[np.float16]

    def __len__(self) -> int:
        """Number of places."""
        return len(self.top)

    def of(self, places: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Returns named tokens, int64, and probabilities, float32, of places of any shape (..., K)."""
        return self.top[places].astype(np.int64), self.probabilities[places].astype(np.float32)

    @classmethod
    def create(cls, directory: Path, length: int, vocab_size: int, places: int = PLACES) -> Targets:
        """Makes room for the targets of a text of `length` tokens; none is named yet.

        Raises:
            ResourceError: When the disk is full or the folder is not writable.
        """
        dtype = np.uint16 if vocab_size <= 1 << 16 else np.uint32
        shape = (length, min(places, vocab_size))
        with disk_errors(directory):
            directory.mkdir(parents=True, exist_ok=True)
            made = cls._map(directory, np.dtype(dtype), shape, "w+")
        facts = {"version": VERSION, "dtype": np.dtype(dtype).name, "shape": shape}
        write_text(directory / "targets.json", json.dumps(facts))
        return made

    @classmethod
    def open(cls, directory: Path, *, writable: bool = False) -> Targets:
        """Opens what `create` made.

        Raises:
            ModelError: When it is missing, truncated or of another version.
        """
        try:
            facts = json.loads((directory / "targets.json").read_text(encoding="utf-8"))
            if facts["version"] != VERSION:
                raise ValueError(f"version {facts['version']}")
            dtype, shape = np.dtype(facts["dtype"]), tuple(facts["shape"])
            return cls._map(directory, dtype, shape, "r+" if writable else "r")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{directory} is damaged ({error}); delete the folder of the run") from error

    @classmethod
    def _map(
        cls, directory: Path, dtype: np.dtype[Any], shape: tuple[int, ...], mode: Literal["r", "r+", "w+"]
    ) -> Targets:
        top = np.memmap(directory / "top.bin", dtype, mode, shape=shape)
        probabilities = np.memmap(directory / "probabilities.bin", np.float16, mode, shape=shape)
        return cls(top, probabilities)

    def write(
        self, start: int, top: npt.NDArray[np.integer], probabilities: npt.NDArray[np.floating]
    ) -> None:
        """Writes the targets of places from `start` on (n, K)."""
        # Rounded down, so that the probabilities of a place never exceed 1 together.
        low = probabilities.astype(np.float16)
        low = np.where(low > probabilities, np.nextafter(low, np.float16(0)), low)
        self.top[start : start + len(top)] = top
        self.probabilities[start : start + len(top)] = low
