"""Faster decoding on a CPU: a copy of the model whose matrices are stored in fewer bits.

The copy runs the model's own code; only its linear, recurrent and output layers are replaced.
Prompts, and anything that reads several tokens at once, go through the model itself.
"""

from __future__ import annotations

import copy
from typing import Any, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wenmo.config import GenerationSettings
from wenmo.errors import OptionError
from wenmo.models.base import LanguageModel, NeuralLanguageModel, State
from wenmo.models.layers import RMSNorm
from wenmo.models.mixture import MixtureModel
from wenmo.models.recurrent_layer import RecurrentLayer

Precision = Literal["fp32", "bf16", "int8"]

_SMALLEST = 4_000_000
"""Parameters below which the weights stay in the processor's cache and reading them costs little."""
_WORTHWHILE = 1_000_000_000
"""Parameters times tokens below which preparing the copy costs more than it saves."""
_MOST_ROWS = 4
"""Rows from which a matrix product in fp32 costs no more than one product for each row."""


class CompactMatrix:
    """A matrix (R, C) in 8 or 16 bits: int8 with one scale for each row, or bfloat16.

    Args:
        weight: float32 (R, C).
        precision: "int8" or "bf16".
    """

    def __init__(self, weight: Tensor, precision: Precision) -> None:
        weight = weight.detach().float().contiguous()
        self.rows = len(weight)
        self._scale: np.ndarray | None = None
        if precision == "int8":
            scale = weight.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / 127
            self._weight = (weight / scale[:, None]).round().to(torch.int8).numpy()
            self._scale = scale.numpy()
        else:
            self._weight = weight.bfloat16().view(torch.uint16).numpy()

    def __call__(self, x: Tensor) -> Tensor:
        """Returns the products (..., R) with float32 vectors (..., C)."""
        from wenmo.generation.kernels import matvec_bf16, matvec_int8

        vectors = x.detach().reshape(-1, x.shape[-1]).contiguous().numpy()
        out = np.empty((len(vectors), self.rows), np.float32)
        for vector, result in zip(vectors, out, strict=True):
            if self._scale is None:
                matvec_bf16(self._weight, vector, result)
            else:
                matvec_int8(self._weight, self._scale, vector, result)
        return torch.from_numpy(out).view(*x.shape[:-1], self.rows)

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Computes `F.linear(x, matrix, bias)`; no other function of tensors takes a compact matrix."""
        if func is not F.linear or kwargs or not isinstance(args[1], cls):
            return NotImplemented
        product = args[1](args[0])
        return product if len(args) < 3 or args[2] is None else product + args[2]


class CompactLinear(nn.Module):
    """Stands for a linear layer.

    Args:
        layer: The layer.
        precision: How the weight is stored; the bias stays float32.
    """

    def __init__(self, layer: nn.Linear, precision: Precision) -> None:
        super().__init__()
        self._matrix = CompactMatrix(layer.weight, precision)
        self._bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """Returns x W^T + b for x (..., C)."""
        product = self._matrix(x)
        return product if self._bias is None else product + self._bias


class CompactRecurrentLayer(RecurrentLayer):
    """Stands for a recurrent layer, for single time steps.

    Args:
        layer: The layer.
        precision: How its two matrices are stored; biases stay float32.
    """

    def __init__(self, layer: RecurrentLayer, precision: Precision) -> None:
        nn.Module.__init__(self)
        self.kernel, self.nonlinearity = layer.kernel, layer.nonlinearity
        matrices = [CompactMatrix(weight, precision) for weight in (layer.weight_ih, layer.weight_hh)]
        # The matrices take the place of tensors in `F.linear`, so that the layer's own step uses them.
        self._weights = cast("list[Tensor]", [*matrices, layer.bias_ih, layer.bias_hh])

    def forward(
        self, inputs: Tensor, h: Tensor, c: Tensor | None, batch_sizes: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """See `RecurrentLayer.forward`; one time step, nothing packed."""
        assert len(inputs) == 1 and batch_sizes is None
        new_h, new_c = self._step(inputs[0], h, c, self._weights)
        return new_h[None], new_h, new_c


class CompactNorm(nn.Module):
    """Stands for an RMS norm: the same numbers, without the overhead of a chain of tensor operations.

    Args:
        layer: The norm.
    """

    def __init__(self, layer: RMSNorm) -> None:
        super().__init__()
        self._weight = layer.weight.detach().numpy()
        self._epsilon = np.float32(layer.epsilon)

    def forward(self, x: Tensor) -> Tensor:
        """Returns x / rms(x) * weight for x (..., C)."""
        from wenmo.generation.kernels import rms_norm

        vectors = x.detach().reshape(-1, x.shape[-1]).contiguous().numpy()
        return torch.from_numpy(rms_norm(vectors, self._weight, self._epsilon)).view(x.shape)


class DecodeRuntime(LanguageModel):
    """A model and its compact copy: single steps run in the copy, longer readings in the model.

    Args:
        model: A neural language model on a CPU, in evaluation mode.
        precision: How the copy stores its matrices.

    Attributes:
        precise: The model.
        precision: How the copy stores its matrices.
    """

    def __init__(self, model: NeuralLanguageModel, precision: Precision) -> None:
        super().__init__()
        self.config = model.config
        self.precise = model
        self.precision = precision
        self._compact = compact_copy(model, precision)
        self._output = CompactMatrix(model.output_weight, precision)

    @property
    def architecture(self) -> str:  # type: ignore[override]
        """Name in the registry."""
        return self.precise.architecture

    def initial_state(self, batch: int) -> State:
        """See `LanguageModel.initial_state`."""
        return self.precise.initial_state(batch)

    def forward(
        self, ids: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """See `LanguageModel.forward`."""
        logits, after, _ = self.read(ids, state, lengths)
        return logits, after

    def read(
        self, ids: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State, Tensor]:
        """See `NeuralLanguageModel.read`."""
        if ids.shape[1] != 1 or lengths is not None:
            return self.precise.read(ids, state, lengths)
        _share_threads()
        before = self.precise.initial_state(len(ids)) if state is None else state
        hidden, new_state = self._compact.hidden(ids, before)
        assert new_state is not None
        return self._output(hidden), new_state, hidden


def _share_threads() -> None:
    """Lets the kernels run on as many threads as torch; starting numba's own would give torch all cores again."""
    from wenmo.generation.kernels import use_threads

    threads = torch.get_num_threads()
    use_threads(threads)
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def compact_copy(model: NeuralLanguageModel, precision: Precision) -> NeuralLanguageModel:
    """Returns a copy that shares all with the model but linear and recurrent layers, which are compact."""
    copied = _compact(model, precision)
    assert isinstance(copied, NeuralLanguageModel)
    return copied


def _compact(module: nn.Module, precision: Precision) -> nn.Module:
    if isinstance(module, nn.Linear):
        return CompactLinear(module, precision)
    if isinstance(module, RecurrentLayer):
        return CompactRecurrentLayer(module, precision)
    if isinstance(module, RMSNorm):
        return CompactNorm(module)
    shared = copy.copy(module)
    shared._modules = {
        name: None if child is None else _compact(child, precision) for name, child in module._modules.items()
    }
    return shared


def choose_precision(model: LanguageModel, settings: GenerationSettings) -> Precision:
    """Decides how the weights are stored while text is written; `settings.precision` unless that is "auto".

    "auto" takes int8 where reading the weights is what decoding spends its time on: few rows, on a CPU, many
    parameters, and enough tokens to pay for preparing the copy.

    Raises:
        OptionError: When a compact copy was asked for and the model cannot have one.
    """
    possible = model.device.type == "cpu" and bool(_neural(model))
    if settings.precision != "auto":
        if settings.precision != "fp32" and not possible:
            where = "a neural model" if model.device.type == "cpu" else "a CPU"
            raise OptionError(f"precision={settings.precision} needs {where}; use precision=auto")
        return settings.precision
    parameters = sum(member.num_parameters() for member in _neural(model))
    rows = max(settings.n, settings.beams)
    pays = parameters >= _SMALLEST and parameters * settings.max_tokens >= _WORTHWHILE and rows <= _MOST_ROWS
    return "int8" if possible and pays else "fp32"


def decode_runtime(model: LanguageModel, precision: Precision) -> LanguageModel:
    """Returns a model of the same contract that decodes single tokens with weights of the given precision.

    Args:
        model: Any language model on a CPU, in evaluation mode. Its members are replaced when it is a mixture.
        precision: "fp32" returns the model itself.
    """
    if precision == "fp32":
        return model
    if isinstance(model, NeuralLanguageModel):
        return DecodeRuntime(model, precision)
    if isinstance(model, MixtureModel):
        members = {name: decode_runtime(member, precision) for name, member in model.saved_members().items()}
        shared = copy.copy(model)
        shared._modules = {**model._modules, "members": nn.ModuleDict(members)}
        shared.precision = precision  # type: ignore[assignment]
        return shared
    return model


def _neural(model: LanguageModel) -> list[NeuralLanguageModel]:
    return [module for module in model.modules() if isinstance(module, NeuralLanguageModel)]
