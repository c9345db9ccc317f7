"""A linear classifier of n-grams: logistic regression on scaled, normalised counts.

x_j = (1 + ln count_j) / norm, times a scale s_j of each n-gram: `nb`, its naive Bayes log-count ratio between the class
and the rest (Wang & Manning 2012, Baselines and bigrams); `idf`, its inverse document frequency; or `nbidf`, both
multiplied. The scales are folded into the weights after the fit, so that a model is one matrix. Two classes need one
column; more get one column each, a class against the rest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wenmo.classification.features import Counter, Keys, NgramSettings, matrix
from wenmo.errors import ModelError

Scheme = Literal["nbidf", "nb", "idf"]
_LEVELS = 127


@dataclass
class LinearModel:
    """Weights of n-grams.

    Attributes:
        settings: Which n-grams are counted.
        classes: Number of classes K.
        table: Sorted keys (D,).
        weights: float32 (D, 1) for two classes, else (D, K).
        bias: float32, as many.
    """

    settings: NgramSettings
    classes: int
    table: Keys
    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]

    def scores(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Scores (N, K) whose softmax are the model's probabilities."""
        return self.scores_of(normalised(matrix(Counter(self.settings).read(texts), self.table)))

    def scores_of(self, x: Any) -> npt.NDArray[np.float64]:
        """Scores of normalised counts."""
        return spread(np.asarray(x @ self.weights, np.float64) + self.bias, self.classes)

    def quantised(self) -> LinearModel:
        """The model with its weights as they are saved (see `pack_weights`)."""
        weights = unpack_weights(*pack_weights(self.weights))
        return LinearModel(self.settings, self.classes, self.table, weights, self.bias)

    def save(self, path: Path) -> None:
        """Writes keys of 6 bytes and weights of one byte as safetensors."""
        import torch

        from wenmo.models.saving import write_tensors

        codes, scale = pack_weights(self.weights)
        keys = self.table.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :6]
        described = {"settings": self.settings.model_dump(mode="json"), "classes": self.classes}
        arrays = {"keys": np.ascontiguousarray(keys), "weights": codes, "scale": scale, "bias": self.bias}
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        # One entry of metadata: several would stand in random order.
        write_tensors(tensors, path, {"model": json.dumps(described)})

    @classmethod
    def load(cls, path: Path) -> LinearModel:
        """Reads what `save` wrote.

        Raises:
            ModelError: When the file is missing or damaged.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "numpy") as file:
                described = json.loads(file.metadata()["model"])
                found = {name: file.get_tensor(name) for name in ("keys", "weights", "scale", "bias")}
            settings = NgramSettings.model_validate(described["settings"])
            table = np.zeros((len(found["keys"]), 8), np.uint8)
            table[:, :6] = found["keys"]
            weights = unpack_weights(found["weights"], found["scale"])
            return cls(settings, int(described["classes"]), table.view("<u8").ravel(), weights, found["bias"])
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{path} is missing or damaged ({error}); copy the whole model directory"
            ) from error


def spread(columns: npt.NDArray[np.float64], classes: int) -> npt.NDArray[np.float64]:
    """Scores of the classes (N, K): a single column says how much the second class is ahead of the first."""
    if columns.shape[1] == 1 and classes == 2:
        return np.concatenate([-columns / 2, columns / 2], axis=1)
    return columns


def pack_weights(weights: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Weights as signed bytes on a square-root scale.

    Most weights are small and a few are large: with w = scale * sign(q) * (q / 127)^2 the small ones keep their
    precision, which equal steps would round to zero.

    Returns:
        Codes int8 of the weights' shape, and the largest absolute weight of every column, float32 (columns,).
    """
    scale = np.abs(weights).max(axis=0, initial=0.0).astype(np.float32)
    safe = np.where(scale > 0, scale, 1.0)
    codes = np.sign(weights) * np.round(np.sqrt(np.abs(weights) / safe) * _LEVELS)
    return codes.astype(np.int8), scale


def unpack_weights(codes: npt.NDArray[np.int8], scale: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Weights of `pack_weights`, float32."""
    share = codes.astype(np.float32) / _LEVELS
    return np.asarray(share * np.abs(share) * scale, np.float32)


def normalised(counts: Any) -> Any:
    """1 + ln(count), each text scaled to length 1: CSR float32 (N, D)."""
    import scipy.sparse as sp

    x = counts.astype(np.float32, copy=True)
    x.data = 1.0 + np.log(x.data)
    squares = np.bincount(
        np.repeat(np.arange(x.shape[0]), np.diff(x.indptr)), weights=x.data**2, minlength=x.shape[0]
    )
    norm = np.sqrt(np.where(squares > 0, squares, 1.0)).astype(np.float32)
    x.data /= np.repeat(norm, np.diff(x.indptr))
    return sp.csr_matrix(x)


def scales(x: Any, labels: npt.NDArray[np.int64], chosen: int, scheme: Scheme) -> npt.NDArray[np.float32]:
    """Scale of every n-gram for the class `chosen` against the rest, float32 (D,).

    Args:
        x: Normalised counts (N, D).
        labels: Labels (N,).
        chosen: The class.
        scheme: See the module.
    """
    here = labels == chosen
    columns = x.shape[1]
    rows = np.repeat(here, np.diff(x.indptr))
    texts = np.bincount(x.indices, minlength=columns)
    found = np.ones(columns)
    if scheme in ("nb", "nbidf"):
        inside = 1.0 + np.bincount(x.indices[rows], minlength=columns)
        outside = 1.0 + texts - (inside - 1.0)
        found = np.log((inside / inside.sum()) / (outside / outside.sum()))
    if scheme in ("idf", "nbidf"):
        found = found * (np.log((1.0 + x.shape[0]) / (1.0 + texts)) + 1.0)
    return found.astype(np.float32)


def fit_weights(
    x: Any,
    labels: npt.NDArray[np.int64],
    classes: int,
    scheme: Scheme,
    strength: float,
    balanced: bool = False,
    seed: int = 0,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Fits the weights by logistic regression with an L2 penalty (liblinear, dual coordinate descent).

    Args:
        x: Normalised counts (N, D).
        labels: Labels (N,).
        classes: K.
        scheme: How n-grams are scaled.
        strength: Inverse strength of the penalty (C).
        balanced: Whether a class counts the more the rarer it is.
        seed: Order of the coordinates.

    Returns:
        Weights (D, 1 or K) with the scales folded in, and biases; a class that does not occur gets a very low bias.
    """
    import scipy.sparse as sp
    from sklearn.linear_model import LogisticRegression

    targets = [1] if classes == 2 else list(range(classes))
    weights = np.zeros((x.shape[1], len(targets)), np.float32)
    bias = np.zeros(len(targets), np.float32)
    for column, chosen in enumerate(targets):
        truth = (labels == chosen).astype(np.int64)
        if truth.min() == truth.max():
            bias[column] = 20.0 if truth.any() else -20.0
            continue
        scale = scales(x, labels, chosen, scheme)
        scaled = sp.csr_matrix((x.data * scale[x.indices], x.indices, x.indptr), x.shape)
        # For liblinear the bias is one more feature; a large one is hardly penalised.
        model = LogisticRegression(
            C=strength,
            solver="liblinear",
            dual=True,
            tol=0.02,
            max_iter=200,
            class_weight="balanced" if balanced else None,
            random_state=seed,
        )
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # more rounds of the dual solver no longer change the verdicts
            model.fit(scaled, truth)
        weights[:, column] = model.coef_[0] * scale
        bias[column] = model.intercept_[0]
    return weights, bias
