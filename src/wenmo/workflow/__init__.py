"""The whole way from raw text to a scored model."""

from wenmo.comparison.results import ComparisonResult
from wenmo.workflow.comparing import compare
from wenmo.workflow.estimating import estimate
from wenmo.workflow.forecast import TimeEstimate
from wenmo.workflow.pipeline import train
from wenmo.workflow.result import TrainResult

__all__ = ["ComparisonResult", "TimeEstimate", "TrainResult", "compare", "estimate", "train"]
