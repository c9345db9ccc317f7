"""From raw files to a frozen, split, deduplicated corpus directory."""

from wenmo.corpus.preparing import prepare
from wenmo.corpus.store import Corpus, Document, Manifest

__all__ = ["Corpus", "Document", "Manifest", "prepare"]
