"""The whole classifier: an n-gram model, a network, or both averaged; calibrated; with verdicts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from wenmo.classification.calibration import Calibration, decide, fit_calibration, fit_favour
from wenmo.classification.linear import LinearModel
from wenmo.classification.metrics import log_softmax
from wenmo.errors import ModelError

if TYPE_CHECKING:
    from wenmo.classification.network import Network

_BATCH = 512
_RECORD = "classifier.json"


class Verdict(BaseModel):
    """What the classifier says about one text; its fields are the JSON that `--json` prints."""

    model_config = ConfigDict(frozen=True)

    label: str
    """The verdict."""
    probability: float
    """Calibrated probability of that label."""
    probabilities: dict[str, float]
    """Calibrated probability of every label."""
    empty: bool = False
    """Whether the text holds nothing that can be read; the verdict then says what is most frequent."""
    words: list[tuple[str, float]] = []
    """The words that decided, with what each adds to the log-odds of the verdict; only when asked for."""


@dataclass
class Classifier:
    """Members whose log-probabilities are added with weights, then calibrated.

    log p = calibration(sum of weight_m * log softmax(scores_m)).

    Attributes:
        names: Names of the classes.
        linear: The n-gram model, if any.
        network: The network, if any.
        weights: Weight of each member that is there, by name (`linear`, `network`).
        calibration: How the weighted sum becomes probabilities.
        favour: Added to the log-probabilities for the verdict only (K,).
    """

    names: list[str]
    linear: LinearModel | None
    network: Network | None
    weights: dict[str, float]
    calibration: Calibration
    favour: npt.NDArray[np.float64]

    def members(self) -> dict[str, Any]:
        """The members that are there."""
        found = {"linear": self.linear, "network": self.network}
        return {name: member for name, member in found.items() if member is not None}

    def log_probs(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Calibrated log-probabilities (N, K)."""
        found = np.zeros((len(texts), len(self.names)))
        for begin in range(0, len(texts), _BATCH):
            part = texts[begin : begin + _BATCH]
            total = np.zeros((len(part), len(self.names)))
            for name, member in self.members().items():
                total += self.weights[name] * log_softmax(member.scores(part))
            found[begin : begin + _BATCH] = self.calibration.log_probs(total)
        return found

    def verdicts(self, texts: Sequence[str]) -> list[Verdict]:
        """Verdicts about texts."""
        if not len(texts):
            return []
        log_probs = self.log_probs(texts)
        chosen = decide(log_probs, self.favour)
        probs = np.exp(log_probs)
        return [
            Verdict(
                label=self.names[k],
                probability=float(row[k]),
                probabilities={name: float(p) for name, p in zip(self.names, row, strict=True)},
                empty=not text.strip(),
            )
            for text, k, row in zip(texts, chosen, probs, strict=True)
        ]

    def save(self, directory: Path) -> None:
        """Writes the classifier into an existing folder."""
        described = {
            "names": self.names,
            "weights": self.weights,
            "temperature": self.calibration.temperature,
            "offsets": self.calibration.offsets.tolist(),
            "favour": self.favour.tolist(),
        }
        if self.linear is not None:
            self.linear.save(directory / "linear.safetensors")
        if self.network is not None:
            self.network.save(directory / "network")
        text = json.dumps(described, ensure_ascii=False, indent=2)
        (directory / _RECORD).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Classifier:
        """Reads what `save` wrote.

        Raises:
            ModelError: When a file is missing or damaged.
        """
        path = directory / _RECORD
        try:
            described = json.loads(path.read_text(encoding="utf-8"))
            names, weights = described["names"], described["weights"]
            calibration = Calibration(float(described["temperature"]), np.array(described["offsets"], float))
            favour = np.array(described["favour"], float)
            if not (len(names) == len(favour) == len(calibration.offsets)):
                raise ValueError("the numbers of classes differ")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{path} is missing or damaged ({error}); copy the whole model directory"
            ) from error
        linear = LinearModel.load(directory / "linear.safetensors") if "linear" in weights else None
        network = None
        if "network" in weights:
            from wenmo.classification.network import Network as NetworkClass

            network = NetworkClass.load(directory / "network")
        classes = {m.classes for m in [linear] if m} | {m.head.out_features for m in [network] if m}
        if classes - {len(names)}:
            raise ModelError(f"{directory}: the files do not belong together; copy the whole model directory")
        return cls(names, linear, network, weights, calibration, favour)


@dataclass(frozen=True)
class Blend:
    """How members are put together.

    Attributes:
        weights: By name; a member that does not help is left out.
        calibration: Fitted with these weights.
        favour: See `Classifier`.
        losses: Calibrated log-loss on the held-out examples of each member alone, and of `both`.
    """

    weights: dict[str, float]
    calibration: Calibration
    favour: npt.NDArray[np.float64]
    losses: dict[str, float]


SURE_BY = 1.0
"""Both members are kept when that lowers the log-loss of the better one by this many standard errors of the gain."""


def blend(scores: dict[str, npt.NDArray[np.float64]], labels: npt.NDArray[np.int64]) -> Blend:
    """Chooses one member or both, with weights, by the log-loss of held-out examples.

    Args:
        scores: Scores of each member on the held-out examples (H, K); one or two members.
        labels: Their labels (H,).
    """
    parts = {name: log_softmax(member) for name, member in scores.items()}

    def nats_with(weights: dict[str, float]) -> npt.NDArray[np.float64]:
        total = sum((w * parts[name] for name, w in weights.items()), np.zeros(()))
        log_probs = fit_calibration(total, labels).log_probs(total)
        return -log_probs[np.arange(len(labels)), labels]

    nats = {name: nats_with({name: 1.0}) for name in parts}
    losses = {name: float(each.mean()) for name, each in nats.items()}
    weights = {min(losses, key=lambda name: losses[name]): 1.0}
    if len(parts) == 2:
        first, second = parts
        # Each member is first brought to its own best temperature, so that weights compare like with like.
        heat = {name: fit_calibration(part, labels).temperature for name, part in parts.items()}
        found = [
            {first: share / heat[first], second: (1 - share) / heat[second]}
            for share in np.linspace(0.1, 0.9, 9)
        ]
        both, best = min(((nats_with(each), each) for each in found), key=lambda pair: float(pair[0].mean()))
        losses["both"] = float(both.mean())
        gain = nats[next(iter(weights))] - both
        if gain.mean() > SURE_BY * gain.std() / np.sqrt(len(gain)):
            weights = {name: float(w) for name, w in best.items()}
    total = sum((w * parts[name] for name, w in weights.items()), np.zeros(()))
    calibration = fit_calibration(total, labels)
    return Blend(weights, calibration, fit_favour(calibration.log_probs(total), labels), losses)
