"""Finding the passages of the user's documents that a question is about: passages, the index on disk, ranking."""

from wenmo.retrieval.bm25 import Index, Passage, open_index
from wenmo.retrieval.building import IndexReport, update_index
from wenmo.retrieval.scores import mean_reciprocal_rank, recall_at

__all__ = [
    "Index",
    "IndexReport",
    "Passage",
    "mean_reciprocal_rank",
    "open_index",
    "recall_at",
    "update_index",
]
