"""One training in several processes: which rows each process reads, and how their results are combined.

    torchrun --nproc-per-node 2 -m model.training DATASET --work WORK --out OUT

Every process takes a contiguous share of every batch. The results are summed in arrays that are zero outside a process's
share: unlike a gather this needs no equal shares, and it gives every process exactly the same values.
"""

import os
from collections.abc import Iterable
from datetime import timedelta

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn

from model.config import TrainConfig
from model.errors import InvalidInput
from model.training.memory import keep_freed_memory

_PATIENCE = timedelta(days=1)
"""Time that processes wait for the first one, which alone computes feature maps and writes checkpoints."""


def make_fabric(config: TrainConfig) -> Fabric:
    """The devices to train on: one device, or as many processes as torchrun sets in its environment variables.

    Fabric's strategy only opens the process group. The network is not wrapped in DistributedDataParallel, because
    `model.training.gradients` may run two forward passes for each batch and sums the gradients itself.

    Raises:
        InvalidInput: A GPU is asked for, and there is none.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InvalidInput("train.device is cuda, and PyTorch finds no GPU here.", "Set train.device=auto, or cpu.")
    processes, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if processes > 1:
        os.environ.setdefault("LOCAL_RANK", "0")  # some launchers leave it out where every process has its own machine
    fabric = Fabric(
        accelerator=config.device,
        strategy=DDPStrategy(cluster_environment=TorchElasticEnvironment(), timeout=_PATIENCE) if processes > 1 else "auto",
        devices=local,
        num_nodes=processes // local,
        precision="bf16-mixed" if _bf16(config) else "32-true",
    )
    fabric.launch()
    if fabric.device.type == "cpu":
        keep_freed_memory()
    return fabric


def _bf16(config: TrainConfig) -> bool:
    if config.precision == "auto":
        return config.device != "cpu" and torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return config.precision == "bf16"


def share(fabric: Fabric, size: int) -> slice:
    """This process's share of `size` rows."""
    return slice(size * fabric.global_rank // fabric.world_size, size * (fabric.global_rank + 1) // fabric.world_size)


def gather_rows(fabric: Fabric, part: Tensor, size: int) -> Tensor:
    """The shares (b, ...) of all processes in order, (size, ...)."""
    if fabric.world_size == 1:
        return part
    whole = part.new_zeros(size, *part.shape[1:])
    whole[share(fabric, size)] = part
    torch.distributed.all_reduce(whole)
    return whole


def sum_gradients(fabric: Fabric, parameters: Iterable[nn.Parameter]) -> None:
    """Sum every parameter's gradient over all processes, in one message."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if fabric.world_size == 1 or not gradients:
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    torch.distributed.all_reduce(flat)
    for gradient, summed in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))


def any_process(fabric: Fabric, answer: bool) -> bool:
    """Whether `answer` is true in any process. All processes receive the same result."""
    if fabric.world_size == 1:
        return answer
    votes = torch.tensor(float(answer), device=fabric.device)
    torch.distributed.all_reduce(votes)
    return bool(votes > 0)
