"""Keywords, topics and similar documents of Chinese and English text."""
