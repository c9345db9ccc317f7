"""What all applications share: the contract of a task, its training, its report, and its verbs."""

from wenmo.tasking.contract import Task, TaskContext, TaskModel, TaskOutcome, TaskSettings
from wenmo.tasking.terminal import Terminal

__all__ = ["Task", "TaskContext", "TaskModel", "TaskOutcome", "TaskSettings", "Terminal"]
