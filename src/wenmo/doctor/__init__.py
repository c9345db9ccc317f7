"""What this machine has, how fast it is, and what it can train."""

from wenmo.doctor.examination import examine
from wenmo.doctor.law import BUDGETS, LAW, TRAINING_SHARE
from wenmo.doctor.report import DoctorReport, Gpu, Package, Speed, Trainable
from wenmo.doctor.system import OPTIONAL, cpu_name, usable_cores

__all__ = [
    "BUDGETS",
    "LAW",
    "OPTIONAL",
    "TRAINING_SHARE",
    "DoctorReport",
    "Gpu",
    "Package",
    "Speed",
    "Trainable",
    "cpu_name",
    "examine",
    "usable_cores",
]
