"""What a training run returns."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from wenmo.evaluation.diversity import Diversity
from wenmo.evaluation.doubling import TwiceTheText
from wenmo.evaluation.overfitting import Overfitting


class PredictedLoss(BaseModel):
    """What was predicted of a training early in it, and what came."""

    model_config = ConfigDict(frozen=True)

    share: float
    """Share of the training that was seen when it was predicted."""
    predicted: float
    """Predicted held-out loss at the end, bits per byte."""
    low: float
    """Lower end of its interval, which holds about nine of ten."""
    high: float
    """Upper end."""
    measured: float
    """Lowest held-out loss that was measured."""
    error: float
    """Predicted over measured, less 1."""


class TargetOutcome(BaseModel):
    """What became of `--target`."""

    model_config = ConfigDict(frozen=True)

    bits_per_byte: float
    """The score that was asked for, in bits per byte of held-out text."""
    reached: bool
    """Whether training came to it."""
    measured: float
    """Score of the whole model on held-out text when training ended."""
    sentence: str
    """The same in words."""


class TrainResult(BaseModel):
    """The outcome of `wenmo train`; its fields are the JSON that `--json` prints."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    model: str
    """Folder of the saved model."""
    seconds: float
    """Wall-clock time of the whole run."""
    budget: float | None
    """Seconds that were given; None when steps or epochs were."""
    stages: dict[str, float]
    """Seconds of each stage, in order."""
    bits_per_byte: float
    """Score on the test text, under `protocol`."""
    protocol: str
    """How it was scored: window, stride, and `static` (frozen) or `prequential` (an adaptive model learns on)."""
    static_bits_per_byte: float
    """The same with the model frozen."""
    bytes: int
    """UTF-8 bytes of test text that were scored."""
    baselines: dict[str, float]
    """Bits per byte of PPMd, xz and the n-gram model on the same bytes after the same training text."""
    members: dict[str, float]
    """Static bits per byte of each model that was trained."""
    weights: dict[str, float]
    """Mean weights of the members in the mixture, and of its cache; empty for a single model."""
    gains: dict[str, float]
    """Bits per byte that each of them saves under `protocol`: the score without it, the weights fitted anew, less the
    score; empty for a single model."""
    parameters: dict[str, int]
    """Number of parameters of each model."""
    predicted: dict[str, PredictedLoss]
    """Of each neural model, where its held-out loss was predicted to end early in its training, and where it ended."""
    target: TargetOutcome | None
    """What became of the target; None without one."""
    stopped: Literal["budget", "steps", "early", "target", "finished"]
    """Why the last neural training ended; `finished` where nothing neural was trained."""
    overfitting: dict[str, Overfitting]
    """Of each neural model, what its learning curve shows: when overfitting began, the gap, what was done about it."""
    twice_the_text: TwiceTheText | None
    """What the same time with twice the text would give, estimated; None where it could not be."""
    verdict: str
    """Overfitting of each neural model, and whether what is written repeats itself, in words."""
    diversity: Diversity | None
    """How varied the model writes and what it copies: texts that continue places of the test text; None when the test
    text is too short."""
    human_diversity: Diversity | None
    """The same scores of how the test text itself goes on at these places, at equal length."""
    samples: list[str]
    """Text the model wrote."""
    report: str
    """Path of report.html."""
