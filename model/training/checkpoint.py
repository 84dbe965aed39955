"""Checkpoints: weights, optimiser and counters in one safetensors file, written atomically. No pickle."""

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


@dataclass(frozen=True)
class Counters:
    """Where a training stands.

    Attributes:
        epoch: Epochs finished.
        best_epoch: The epoch with the best validation MAP@R.
        best: That MAP@R.
        history: Of every epoch, loss and MAP@R.
        step: Steps done of the epoch under way.
        loss: The sum of these steps' losses.
    """

    epoch: int = 0
    best_epoch: int = 0
    best: float = -1.0
    history: tuple[dict[str, float], ...] = ()
    step: int = 0
    loss: float = 0.0


def save_checkpoint(path: Path, modules: dict[str, nn.Module], optimizer: Optimizer, counters: Counters, key: str) -> None:
    """Write everything a resumed run needs.

    Args:
        path: The checkpoint file.
        modules: What is trained, by name.
        optimizer: Its state goes along.
        counters: Where the training stands.
        key: Names data and settings; a checkpoint of another key is not resumed.
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
    metadata = {"key": key, "counters": json.dumps(counters.__dict__), "optimizer": json.dumps(scalars)}
    with atomic_file(path) as partial:
        save_file({name: value.detach().contiguous().clone() for name, value in tensors.items()}, partial, metadata)


def load_checkpoint(path: Path, modules: dict[str, nn.Module], optimizer: Optimizer, key: str) -> Counters | None:
    """Put modules and optimiser back to where a checkpoint stands.

    Returns:
        The counters, or None where there is no checkpoint or it belongs to other data or settings.

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
        counters = json.loads(metadata["counters"])
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0][:200]
        raise InvalidInput(f"{path} is no checkpoint of this training: {reason}", "Delete it to train from the start.") from error
    return Counters(**(counters | {"history": tuple(counters["history"])}))


def _restore(optimizer: Optimizer, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
    values = {name.removeprefix("optimizer/"): value for name, value in tensors.items() if name.startswith("optimizer/")}
    state: dict[int, dict[str, Any]] = {}
    for name, value in (values | scalars["values"]).items():
        index, entry = name.split("/")
        state.setdefault(int(index), {})[entry] = value
    optimizer.load_state_dict({"state": state, "param_groups": scalars["groups"]})
    for parameter, entries in optimizer.state.items():  # in the parameter's own memory format, as fast kernels want it
        for entry, value in entries.items():
            if value.shape == parameter.shape:
                entries[entry] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
