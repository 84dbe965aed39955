"""The machine of a training, as far as the rounding of its sums depends on it."""

import torch

from model.schemas.train_report import Machine


def machine_of(device: torch.device) -> Machine:
    """The machine of this process, with one of its devices."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    return Machine(device=device.type, name=name, threads=torch.get_num_threads(), torch=torch.__version__)
