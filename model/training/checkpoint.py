"""Checkpoints: weights, optimiser state and counters in one safetensors file, written atomically. No pickle."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from model.errors import InvalidInput
from model.files import atomic_file

if TYPE_CHECKING:
    from model.training.learner import Learner


@dataclass(frozen=True)
class Counters:
    """Progress of a training.

    Attributes:
        epoch: Finished epochs.
        step: Finished steps of the current epoch.
        loss: Sum of the losses of these steps.
        losses: Mean loss of every finished epoch.
        seconds: Duration of every finished epoch, with its validation.
        map_at_r: MAP@R of every held-out class, for the init and after every finished epoch.
        margin: The margin of every held-out class likewise: see `model.training.validation`.
        untrained: MAP@R of every held-out class by the untrained trunk.
    """

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    losses: tuple[float, ...] = ()
    seconds: tuple[float, ...] = ()
    map_at_r: tuple[tuple[float, ...], ...] = ()
    margin: tuple[tuple[float, ...], ...] = ()
    untrained: tuple[float, ...] = ()

    def finished(self, loss: float, seconds: float) -> "Counters":
        """The counters after the epoch at hand, of the given mean loss and duration."""
        losses, durations = (*self.losses, loss), (*self.seconds, round(seconds, 3))
        return replace(self, epoch=self.epoch + 1, step=0, loss=0.0, losses=losses, seconds=durations)


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint of a learner.

    Attributes:
        learner: Training whose state is stored and restored.
        path: The checkpoint file.
        key: Hash of data and settings; a checkpoint of another key is not resumed.
    """

    learner: "Learner"
    path: Path
    key: str

    def load(self) -> Counters | None:
        """Restore the learner; returns the counters, or None where there is no checkpoint of these data and settings."""
        return load_checkpoint(self.path, self.learner.modules, self.learner.optimizer, self.key)

    def save(self, counters: Counters) -> None:
        """Store the learner with its counters. The first process writes, and none goes on before that is done."""
        if self.learner.fabric.is_global_zero:
            save_checkpoint(self.path, self.learner.modules, self.learner.optimizer, counters, self.key)
        self.learner.fabric.barrier()

    def share(self, counters: Counters) -> None:
        """Store the learner and restore it, so that all processes go on from exactly the same values, on any machine."""
        self.save(counters)
        self.load()


def save_checkpoint(path: Path, modules: dict[str, nn.Module], optimizer: Optimizer, counters: Counters, key: str) -> None:
    """Write everything that a resumed training needs.

    Args:
        path: The checkpoint file.
        modules: The trained modules, by name.
        optimizer: Optimiser whose state is stored.
        counters: Progress of the training.
        key: Hash of data and settings; a checkpoint of another key is not resumed.
    """
    tensors = {f"{name}/{entry}": value for name, module in modules.items() for entry, value in module.state_dict().items()}
    state = optimizer.state_dict()
    scalars: dict[str, Any] = {"groups": state["param_groups"], "values": {}}
    for index, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{index}/{name}"] = value
            else:
                scalars["values"][f"{index}/{name}"] = value
    metadata = {"key": key, "counters": json.dumps(vars(counters)), "optimizer": json.dumps(scalars)}
    with atomic_file(path) as partial:
        save_file({name: value.detach().contiguous().clone() for name, value in tensors.items()}, partial, metadata)


def load_checkpoint(path: Path, modules: dict[str, nn.Module], optimizer: Optimizer, key: str) -> Counters | None:
    """Restore modules and optimiser from a checkpoint.

    Returns:
        The counters; None where there is no checkpoint, or it belongs to other data or settings.

    Raises:
        InvalidInput: The file is no safetensors file, or does not fit the modules; or it is a folder.
    """
    if path.is_dir():
        said = f"{path} is a folder, and a training keeps its checkpoint there."
        raise InvalidInput(said, "Move it away; then repeat the command.")
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("key") != key:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
        for name, module in modules.items():
            prefix = f"{name}/"
            own = {entry.removeprefix(prefix): value for entry, value in tensors.items() if entry.startswith(prefix)}
            module.load_state_dict(own)
        _restore(optimizer, tensors, json.loads(metadata["optimizer"]))
        return Counters(**{name: _tuples(value) for name, value in json.loads(metadata["counters"]).items()})
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0][:200]
        raise InvalidInput(f"{path} is no checkpoint of this training: {reason}", "Delete it to train from the start.") from error


def _tuples(value: Any) -> Any:
    """Lists as tuples, at any depth."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _restore(optimizer: Optimizer, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
    values = {name.removeprefix("optimizer/"): value for name, value in tensors.items() if name.startswith("optimizer/")}
    state: dict[int, dict[str, Any]] = {}
    for name, value in (values | scalars["values"]).items():
        index, entry = name.split("/")
        state.setdefault(int(index), {})[entry] = value
    optimizer.load_state_dict({"state": state, "param_groups": scalars["groups"]})
    for parameter, entries in optimizer.state.items():  # in the parameter's own memory format, which fast kernels need
        for entry, value in entries.items():
            if value.shape == parameter.shape:
                entries[entry] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
