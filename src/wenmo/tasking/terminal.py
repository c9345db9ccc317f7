"""What a verb of a task sees of the command line."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


class Terminal:
    """Shows results and asks for input.

    Args:
        json: Whether one JSON object is to be printed instead of text.
        progress: Whether progress is shown (on stderr).
    """

    def __init__(self, json: bool = False, progress: bool = True) -> None:
        self.json = json
        self.progress = progress

    def result(self, content: BaseModel | Mapping[str, Any], text: str) -> None:
        """Prints the result of a verb: `content` as JSON with `--json`, else `text`."""
        if self.json:
            plain = content.model_dump(mode="json") if isinstance(content, BaseModel) else dict(content)
            print(json_format.dumps(plain, ensure_ascii=False, indent=2))
        else:
            print(text)

    def write(self, piece: str) -> None:
        """Shows a piece of text at once, without a line end; silent with `--json`."""
        if not self.json:
            sys.stdout.write(piece)
            sys.stdout.flush()

    def tell(self, sentence: str) -> None:
        """Says something beside the result, on stderr."""
        if self.progress:
            print(sentence, file=sys.stderr)

    def ask(self, prompt: str) -> str | None:
        """Asks for one line; the prompt is shown on a terminal only.

        Returns:
            The line without its end, or None at the end of the input (Ctrl-D).
        """
        if sys.stdin.isatty():
            sys.stderr.write(prompt)
            sys.stderr.flush()
        line = sys.stdin.readline()
        return line.rstrip("\r\n") if line else None
