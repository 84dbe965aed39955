"""Checkpoints: weights, optimiser state and counters in one safetensors file, written atomically. No pickle."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from model.errors import InvalidInput
from model.files import atomic_file
from model.schemas.train_report import Epoch


@dataclass(frozen=True)
class Counters:
    """Progress of a training.

    Attributes:
        epoch: Finished epochs.
        best_epoch: Epoch with the best validation MAP@R.
        best: Validation MAP@R of the best epoch.
        history: Figures of every finished epoch; the first entry is the init.
        step: Finished steps of the current epoch.
        loss: Sum of the losses of these steps.
        untrained: Validation MAP@R of the untrained trunk.
    """

    epoch: int = 0
    best_epoch: int = 0
    best: float = -1.0
    history: tuple[Epoch, ...] = ()
    step: int = 0
    loss: float = 0.0
    untrained: float = 0.0


def save_checkpoint(path: Path, modules: dict[str, nn.Module], optimizer: Optimizer, counters: Counters, key: str) -> None:
    """Write everything that a resumed training needs.

    Args:
        path: The checkpoint file.
        modules: The trained modules, by name.
        optimizer: Optimiser whose state is stored.
        counters: Progress of the training.
        key: Hash of data and settings; a checkpoint of another key is not resumed.
    """
    tensors = {f"{name}/{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    state = optimizer.state_dict()
    scalars: dict[str, Any] = {"groups": state["param_groups"], "values": {}}
    for index, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{index}/{name}"] = value
            else:
                scalars["values"][f"{index}/{name}"] = value
    stored = vars(counters) | {"history": [entry.model_dump() for entry in counters.history]}
    metadata = {"key": key, "counters": json.dumps(stored), "optimizer": json.dumps(scalars)}
    with atomic_file(path) as partial:
        save_file({name: value.detach().contiguous().clone() for name, value in tensors.items()}, partial, metadata)


def load_checkpoint(path: Path, modules: dict[str, nn.Module], optimizer: Optimizer, key: str) -> Counters | None:
    """Restore modules and optimiser from a checkpoint.

    Returns:
        The counters; None where there is no checkpoint, or it belongs to other data or settings.

    Raises:
        InvalidInput: The file is no safetensors file, or does not fit the modules.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("key") != key:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
        for name, module in modules.items():
            prefix = f"{name}/"
            module.load_state_dict({key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)})
        _restore(optimizer, tensors, json.loads(metadata["optimizer"]))
        stored = json.loads(metadata["counters"])
        return Counters(**(stored | {"history": tuple(Epoch.model_validate(entry) for entry in stored["history"])}))
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0][:200]
        raise InvalidInput(f"{path} is no checkpoint of this training: {reason}", "Delete it to train from the start.") from error


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
