"""From tokens to text that may be shown: whole characters only, and nothing of a stop string.

A token of a byte-level tokenizer may be a third of a Chinese character or a quarter of an emoji. What is
shown is never taken back: the pieces given out concatenate to the full text.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class CharacterStream:
    """Turns bytes into characters as soon as these are complete.

    Bytes that can never become a character are replaced by U+FFFD exactly as
    `bytes.decode("utf-8", "replace")` replaces them; bytes that may still become one are kept back.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, data: bytes) -> str:
        """Returns the characters completed by `data`."""
        return self._decoder.decode(data)

    def close(self, *, cut: bool = False) -> str:
        """Ends the stream.

        Args:
            cut: The text was cut by a limit: an unfinished character is left out instead of replaced.

        Returns:
            The last characters.
        """
        rest = "" if cut else self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return rest


class StopFilter:
    """Passes text through up to the first stop string, holding back what may be the beginning of one.

    Args:
        stops: Strings that end the text, not empty. Of two in the text the one that begins earlier counts.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False
        """A stop string was found."""

    def feed(self, text: str) -> str:
        """Returns the text that may be shown; "" once a stop string was found."""
        if self.stopped:
            return ""
        if not self._stops:
            return text
        self._held += text
        found = [place for place in (self._held.find(stop) for stop in self._stops) if place >= 0]
        if found:
            self.stopped = True
            shown, self._held = self._held[: min(found)], ""
            return shown
        keep = self._possible_beginning()
        cut = len(self._held) - keep
        shown, self._held = self._held[:cut], self._held[cut:]
        return shown

    def close(self) -> str:
        """Returns what was held back and turned out not to be a stop string."""
        shown, self._held = self._held, ""
        return shown

    def _possible_beginning(self) -> int:
        """Length of the longest end of the held text that begins a stop string."""
        longest = min(len(self._held), max(map(len, self._stops)) - 1)
        for length in range(longest, 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stops):
                return length
        return 0


class TextStream:
    """Text of one sample, token by token.

    Args:
        token_bytes: Bytes of every token id; those of the end-of-text token are empty.
        stops: Strings that end the text and are not shown.
    """

    def __init__(self, token_bytes: Sequence[bytes], stops: Sequence[str] = ()) -> None:
        self._token_bytes = token_bytes
        self._characters = CharacterStream()
        self._filter = StopFilter(stops)
        self._pieces: list[str] = []

    @property
    def stopped(self) -> bool:
        """A stop string was found; the text is complete."""
        return self._filter.stopped

    @property
    def text(self) -> str:
        """All that was given out so far."""
        return "".join(self._pieces)

    def feed(self, token: int) -> str:
        """Returns the text that token `token` makes visible."""
        return self._give(self._filter.feed(self._characters.feed(self._token_bytes[token])))

    def close(self, *, cut: bool = False) -> str:
        """Returns the last text; `cut` leaves out a character that a limit on the length left unfinished."""
        if self.stopped:
            return ""
        last = self._filter.feed(self._characters.close(cut=cut))
        return self._give(last if self._filter.stopped else last + self._filter.close())

    def _give(self, text: str) -> str:
        if text:
            self._pieces.append(text)
        return text
