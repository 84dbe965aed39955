"""What all trainings of one call share: data, devices, the folder of checkpoints, and where sentences about the progress go."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lightning_fabric import Fabric

from model.training.checkpoint import Checkpoint
from model.training.initialisation import Inits
from model.training.learner import Learner
from model.training.training_data import TrainingData

Say = Callable[[str], None]
"""Function that is called with each sentence about the training's progress."""


@dataclass(frozen=True)
class Session:
    """What all trainings of one call of `model.training.train.train` share.

    Attributes:
        data: Data, settings and method.
        fabric: Devices and processes.
        folder: Folder of checkpoints.
        key: Hash of data and settings, which names the checkpoints that are resumed.
        say: Receives sentences about the progress.
        stopping: Tells whether the training must end after the step at hand.
        inits: Inits of heads that were computed already: see `model.training.initialisation.init_heads`.
    """

    data: TrainingData
    fabric: Fabric
    folder: Path
    key: str
    say: Say
    stopping: Callable[[], bool]
    inits: Inits = field(default_factory=dict)

    def checkpoint(self, learner: Learner, *names: str) -> Checkpoint:
        """A checkpoint of a learner."""
        return Checkpoint(learner, self.folder.joinpath(*names).with_suffix(".safetensors"), self.key)
