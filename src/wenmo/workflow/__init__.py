"""The whole way from raw text to a scored model."""

from wenmo.workflow.pipeline import train
from wenmo.workflow.result import TrainResult

__all__ = ["TrainResult", "train"]
