"""Training on a CPU by processes that each take a part of the batch.

Threads of one process share Python's lock: those of a small model, whose operations last microseconds, wait for it a
third of the time. Processes that are forked when training begins have a lock each. The parameters lie in memory that
all see; every step the first process sends the others their rows, and they leave their gradients in such memory, too.
The parts, their dropout and the order in which gradients are added are those of `threaded.ThreadedBackward`, and so are
the numbers.
"""

from __future__ import annotations

import functools
import mmap
import multiprocessing
import os
import pickle
import signal
import time
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wenmo.errors import ResourceError
from wenmo.models.base import NeuralLanguageModel
from wenmo.training.batches import Batch
from wenmo.training.threaded import Gradients, LossOf, add_gradients, part_seeds, rows_of_each, run_part

ALIGNMENT = 64
"""Bytes between which tensors begin."""
ENDING_SECONDS = 5.0
"""A process that has not ended after so long is killed."""
TRIES, PATIENCE, SLOWER = 3, 5.0, 20.0
"""Times that processes are forked for a first step, and how long it may take them: some seconds, twice as many each
time, or so many times as long as the first process needs for its part."""


def shared_like(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Returns tensors of the same shapes and types in memory that processes forked later share; zero at first."""
    given = list(tensors)
    sizes = [-(-x.numel() * x.element_size() // ALIGNMENT) * ALIGNMENT for x in given]
    block = mmap.mmap(-1, max(sum(sizes), 1))
    found, place = [], 0
    for x, size in zip(given, sizes, strict=True):
        if x.numel():
            flat = torch.frombuffer(block, dtype=x.dtype, count=x.numel(), offset=place)
            found.append(flat.view(x.shape))
        else:
            found.append(torch.empty_like(x))
        place += size
    return found


@dataclass(frozen=True)
class _Helper:
    """A forked process.

    Attributes:
        process: The process.
        connection: To it.
        gradients: Where it leaves its gradients.
    """

    process: BaseProcess
    connection: Connection
    gradients: list[Tensor]

    def answer(self, patience: float | None) -> tuple[Tensor, Gradients] | None:
        """Waits for the loss of its part, and the gradients of those parameters that have one; raises its error.

        Args:
            patience: Seconds after which nothing is returned; None waits as long as it takes.
        """
        if patience is not None and not self.connection.poll(patience):
            return None
        said = pickle.loads(self.connection.recv_bytes())
        if isinstance(said, BaseException):
            raise said
        loss, there = said
        return torch.tensor(loss), tuple(
            x if is_there else None for x, is_there in zip(self.gradients, there, strict=True)
        )


class ForkedBackward:
    """Back-propagates the parts of a batch side by side, in processes.

    The processes are forked by the first call, and know the model, its mode and the loss as they were then; the
    parameters they see are always those of now, as long as these are changed in place.

    A fork takes along the locks of libraries as they are: one that another thread holds at that moment, such as a
    thread that is just ending, is never opened in the new process. It shows in its first step, where it waits for
    ever; so processes that do not answer their first step in time are ended, and others forked.

    Args:
        model: What is trained; its parameters are moved into shared memory until `close`.
        workers: Number of processes, with this one.
        seed: Seed of the dropout.
    """

    def __init__(self, model: NeuralLanguageModel, workers: int, seed: int) -> None:
        self._parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        self._workers = workers
        self._seed = seed
        self._pool = ThreadPoolExecutor(1, "training", lambda: torch.set_num_threads(1))
        self._helpers: list[_Helper] = []
        self._proven = 0  # helpers that have answered
        self._loss: Callable[..., Tensor] | None = None
        with torch.no_grad():
            for parameter, shared in zip(self._parameters, shared_like(self._parameters), strict=True):
                parameter.data = shared.copy_(parameter)

    def __call__(self, loss_of: LossOf, batch: Batch, key: tuple[int, int]) -> Tensor:
        """Adds the gradient of a batch to that of the parameters and returns its loss, detached.

        Args:
            loss_of: See `LossOf`; of a `functools.partial` the arguments may differ from call to call.
            batch: What is divided by rows.
            key: Tells this call apart from all others (step, number of the batch), which seeds the dropout.

        Raises:
            ResourceError: When a process was killed, or none that was forked answers.
        """
        loss, arguments = (
            (loss_of.func, loss_of.keywords) if isinstance(loss_of, functools.partial) else (loss_of, {})
        )
        if loss != self._loss:
            self._end()
            self._begin(loss)
        parts = batch.split(rows_of_each(batch, self._workers))
        seeds = part_seeds(self._seed, key, len(parts))
        orders = [
            pickle.dumps((type(part), _arrays(part), seed, arguments))
            for part, seed in zip(parts[1:], seeds[1:], strict=True)
        ]
        try:
            self._send(orders)
            started = time.monotonic()
            own = self._pool.submit(run_part, loss_of, parts[0], seeds[0], self._parameters).result()
            done = [own, *self._answers(orders, time.monotonic() - started)]
        except (EOFError, OSError) as error:
            self._end()
            raise ResourceError(
                "a process that shares the training has ended; it may have been killed for lack of memory. Give a "
                "smaller --size, or --training.worker-kind threads"
            ) from error
        except BaseException:
            self._end()  # an answer may be on its way
            raise
        for _, gradients in done:
            without = [parameter for parameter in self._parameters if parameter.grad is None]
            add_gradients(self._parameters, gradients)
            if gradients is not own[1]:  # what the helpers' memory holds, the next call writes over
                for parameter in without:
                    parameter.grad = None if parameter.grad is None else parameter.grad.clone()
        return torch.stack([loss for loss, _ in done]).sum()

    def close(self) -> None:
        """Ends the processes, and moves the parameters into memory of this process alone."""
        self._end()
        self._pool.shutdown()
        with torch.no_grad():
            for parameter in self._parameters:
                parameter.data = parameter.detach().clone()

    def _send(self, orders: list[bytes]) -> None:
        for helper, order in zip(self._helpers, orders, strict=False):
            helper.connection.send_bytes(order)

    def _answers(self, orders: list[bytes], seconds: float) -> list[tuple[Tensor, Gradients]]:
        """What the helpers answer to their orders, where the first process took so many seconds for its part."""
        for attempt in range(TRIES):
            new = len(orders) > self._proven
            patience = max(2**attempt * PATIENCE, SLOWER * seconds) if new else None
            answers = [helper.answer(patience) for helper in self._helpers[: len(orders)]]
            found = [answer for answer in answers if answer is not None]
            if len(found) == len(orders):
                self._proven = max(self._proven, len(orders))
                return found
            loss = self._loss
            self._end(0.0)
            if attempt + 1 < TRIES and loss is not None:
                self._begin(loss)
                self._send(orders)
        raise ResourceError(
            "processes that were forked for the training do not answer; give --training.worker-kind threads"
        )

    def _begin(self, loss: Callable[..., Tensor]) -> None:
        self._loss = loss
        context = multiprocessing.get_context("fork")
        for _ in range(self._workers - 1):
            ours, theirs = context.Pipe()
            gradients = shared_like(self._parameters)
            others = [*(helper.connection for helper in self._helpers), ours]
            process = context.Process(
                target=_work, args=(theirs, others, loss, self._parameters, gradients), daemon=True
            )
            with warnings.catch_warnings():
                # The threads of this process wait for work; what if one does not is said above.
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            theirs.close()
            self._helpers.append(_Helper(process, ours, gradients))

    def _end(self, seconds: float = ENDING_SECONDS) -> None:
        for helper in self._helpers:
            helper.connection.close()
        for helper in self._helpers:
            helper.process.join(seconds)
            if helper.process.is_alive():
                helper.process.kill()
                helper.process.join()
        self._helpers, self._proven = [], 0
        self._loss = None


def _arrays(part: Batch) -> dict[str, Any]:
    """The fields of a part, tensors as arrays."""
    values = {field.name: getattr(part, field.name) for field in fields(part)}
    return {name: x.numpy() if isinstance(x, Tensor) else x for name, x in values.items()}


def _work(
    connection: Connection,
    others: list[Connection],
    loss: Callable[..., Tensor],
    parameters: list[Tensor],
    gradients: list[Tensor],
) -> None:
    """What a forked process does until its connection is closed."""
    # Ctrl-C is for the first process, which ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    for other in others:  # else it would hold them open when the first process has ended
        other.close()
    while True:
        try:
            kind, arrays, seed, arguments = pickle.loads(connection.recv_bytes())
        except (EOFError, OSError):
            os._exit(0)  # nothing of the first process is to be ended here
        try:
            part = kind(
                **{
                    name: torch.from_numpy(x) if isinstance(x, np.ndarray) else x
                    for name, x in arrays.items()
                }
            )
            value, found = run_part(functools.partial(loss, **arguments), part, seed, parameters)
            for gradient, shared in zip(found, gradients, strict=True):
                if gradient is not None:
                    shared.copy_(gradient)
            said: Any = (value.item(), [gradient is not None for gradient in found])
        except Exception as error:
            said = error
        try:
            connection.send_bytes(_pickled(said))
        except OSError:
            os._exit(0)


def _pickled(said: Any) -> bytes:
    """What is said, or that it was an error where that cannot be said."""
    try:
        return pickle.dumps(said)
    except Exception:
        return pickle.dumps(RuntimeError(f"{type(said).__name__}: {said}"))
