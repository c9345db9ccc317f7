"""Writing text with a language model: sampling, beam search, streaming, and a runtime for fast decoding."""
