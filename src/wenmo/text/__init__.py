"""The one place that knows scripts, characters, words, sentences and shingles of Chinese and English text."""

from wenmo.text.cleaning import clean, repair_mojibake, safe_cut
from wenmo.text.scripts import SCRIPTS, han_share, is_han, script, script_classes, script_counts
from wenmo.text.segmentation import sentences, shingles, words

__all__ = [
    "SCRIPTS",
    "clean",
    "han_share",
    "is_han",
    "repair_mojibake",
    "safe_cut",
    "script",
    "script_classes",
    "script_counts",
    "sentences",
    "shingles",
    "words",
]
