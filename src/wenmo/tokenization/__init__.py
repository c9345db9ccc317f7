"""Text to token ids and back: byte-level BPE, characters or bytes, all lossless, as Hugging Face files."""
