"""Putting a model, such as a mixture, into one student."""

from wenmo.distillation.pipeline import distil
from wenmo.distillation.result import DistilResult, TeacherFacts

__all__ = ["DistilResult", "TeacherFacts", "distil"]
