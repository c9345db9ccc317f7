"""The whole way from raw text to a scored model."""

from wenmo.comparison.results import ComparisonResult
from wenmo.workflow.comparing import compare
from wenmo.workflow.pipeline import train
from wenmo.workflow.result import TrainResult

__all__ = ["ComparisonResult", "TrainResult", "compare", "train"]
