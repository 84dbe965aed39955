"""The training report: what selection chose on held-out classes, its epochs, and the gain of init, epochs and re-ranking."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, computed_field, model_validator

from model.schemas.document import read_schema
from model.schemas.reranking import Reranking
from model.schemas.schema import Schema
from model.text import counted

SATURATED_MAP_AT_R = 0.98
"""MAP@R of the init on held-out classes from which on it is saturated: too little room is left to compare epochs by it."""
FEWEST_CLASSES = 5
"""Held-out classes below which no comparison can be significant: even if all of 4 classes improve, a one-sided sign test over
classes gives p = 1/16; with 5 classes it gives p = 1/32, below 0.05."""
_OF_HELD_OUT = {"untrained_map_at_r", "init_map_at_r", "validation_map_at_r", "gain_of_init", "gain_of_training"}
"""Numbers of a report that mean nothing if nothing was held out."""
TrunkSetting = Literal["auto", "frozen", "finetune"]
"""Values of `train.trunk`."""


class Epoch(Schema):
    """One epoch of a training. Epoch 0 is the init, before any step."""

    epoch: int = Field(ge=0, description="Number of the epoch; 0: the init")
    loss: float | None = Field(None, description="Mean training loss of the epoch's batches; null for epoch 0")
    map_at_r: float = Field(ge=0, le=1, description="MAP@R on the held-out classes after the epoch; 0 if there are none")
    margin: float | None = Field(
        None, description="Mean similarity of the nearest right image less that of the nearest wrong one; absent in old records"
    )
    seconds: float = Field(0.0, ge=0, description="Duration of the epoch with its validation, summed over the folds")


def trunk_choice(asked: TrunkSetting, trunk: TrunkSetting) -> str:
    """Whether the trunk is trained, and why, as a sentence."""
    how = "finetuned with the heads" if trunk == "finetune" else "frozen, the heads alone are trained"
    if asked != "auto":
        return f"the trunk is {how}, as train.trunk says"
    return f"the trunk is {how}, because there is {'a' if trunk == 'finetune' else 'no'} GPU (train.trunk=auto)"


class Machine(Schema):
    """The machine of a training, as far as the rounding of its sums depends on it."""

    device: Literal["cpu", "cuda"] = Field(description="Device that trained")
    name: str = Field(description="Instruction set of the CPU as PyTorch uses it, such as AVX2, or name of the GPU")
    threads: int = Field(ge=1, description="Threads of one operation on the CPU")
    torch: str = Field(description="Version of PyTorch")

    def __str__(self) -> str:
        return f"{self.device} {self.name}, {counted(self.threads, 'thread')}, PyTorch {self.torch}"


class TrainReport(Schema):
    """A training, epoch by epoch, with the gain of its init and of its epochs."""

    machine: Machine | None = Field(None, description="Machine that trained; absent in old records")
    trunk: Literal["frozen", "finetune"] | None = Field(None, description="Whether the trunk was trained; absent in old records")
    trunk_asked: TrunkSetting = Field("auto", description="`train.trunk` as it was set; auto: finetune where there was a GPU")

    init: Literal["whitened", "random"] = Field(description="Init of the projections; whitened: in closed form")
    learning_rate: float | None = Field(None, description="Learning rate of the heads that was chosen; absent in old records")
    whole_heads: bool = Field(
        True,
        description="Whether whole heads were trained, with attention and reductions; false: selection chose to train the "
        "residuals of their projections alone, without attention",
    )
    merge_weights: dict[str, float] = Field({}, description="Weight of each head in the merged vector")
    folds: int = Field(
        1, ge=0, description="Class-disjoint folds of the selection; with several, the network is trained on all classes after it"
    )
    criterion: Literal["map_at_r", "margin"] = Field(
        "map_at_r", description="Figure that selection compared; margin: MAP@R of the init was saturated"
    )
    gain_interval: tuple[float, float] | None = Field(
        None, description="95 % interval of the gain of training in MAP@R on held-out classes; absent in old records"
    )
    epochs_planned: int = Field(ge=0, description="Epochs that the settings ask for")
    best_epoch: int = Field(ge=0, description="Number of epochs that were chosen; 0: the init is kept")
    untrained_map_at_r: float = Field(ge=0, le=1, description="MAP@R of the untrained trunk on the held-out classes")
    validation_classes: int = Field(ge=0, description="Number of held-out classes, over all folds")
    validation_images: int = Field(ge=0, description="Number of their images that can be found")
    reranking: Reranking | None = Field(
        None,
        description="Choice of re-ranking on a sample of held-out queries; absent if it was not looked at, and in old records",
    )
    history: tuple[Epoch, ...] = Field(min_length=1, description="The epochs in order, from the init to the last one")

    @model_validator(mode="before")
    @classmethod
    def _without_computed(cls, value: Any) -> Any:
        """Drop the computed fields of a stored report; they are computed again."""
        if not isinstance(value, dict):
            return value
        return {name: stated for name, stated in value.items() if name not in cls.model_computed_fields}

    @model_validator(mode="after")
    def _best_epoch_exists(self) -> "TrainReport":
        if [entry.epoch for entry in self.history] != list(range(len(self.history))) or self.best_epoch >= len(self.history):
            raise ValueError("the history must count its epochs from 0 and include the best one")
        return self

    @computed_field(description="Epochs that were trained")  # type: ignore[prop-decorator]
    @property
    def epochs_done(self) -> int:
        """Epochs that were trained; fewer than planned where patience ran out."""
        return len(self.history) - 1

    @computed_field(description="MAP@R of the init on the held-out classes")  # type: ignore[prop-decorator]
    @property
    def init_map_at_r(self) -> float:
        """MAP@R of the init on the held-out classes."""
        return self.history[0].map_at_r

    @computed_field(description="MAP@R after the kept epoch on the held-out classes")  # type: ignore[prop-decorator]
    @property
    def validation_map_at_r(self) -> float:
        """MAP@R after the kept epoch on the held-out classes."""
        return self.history[self.best_epoch].map_at_r

    @computed_field(description="MAP@R of the init on held-out classes less that of the untrained trunk")  # type: ignore[prop-decorator]
    @property
    def gain_of_init(self) -> float:
        """MAP@R of the init on held-out classes less that of the untrained trunk."""
        return self.init_map_at_r - self.untrained_map_at_r

    @computed_field(description="MAP@R after the kept epoch on held-out classes less that of the init")  # type: ignore[prop-decorator]
    @property
    def gain_of_training(self) -> float:
        """MAP@R after the kept epoch on held-out classes less that of the init."""
        return self.validation_map_at_r - self.init_map_at_r

    @computed_field(description="Whether no epoch was better than the init, so that the init is kept")  # type: ignore[prop-decorator]
    @property
    def kept_init(self) -> bool:
        """Whether no epoch was better than the init, so that the init is kept."""
        return self.best_epoch == 0

    @computed_field(description="Whether the held-out classes are too easy or too few to compare epochs")  # type: ignore[prop-decorator]
    @property
    def saturated(self) -> bool:
        """Whether there are fewer than `FEWEST_CLASSES` held-out classes, or MAP@R was compared from `SATURATED_MAP_AT_R` on."""
        return self.too_easy or self.validation_classes < FEWEST_CLASSES

    @property
    def too_easy(self) -> bool:
        """Whether MAP@R was compared although the init reaches `SATURATED_MAP_AT_R`, as before there was the margin."""
        return self.criterion == "map_at_r" and self.init_map_at_r >= SATURATED_MAP_AT_R

    @property
    def init_name(self) -> str:
        """The init in words."""
        return "closed-form init" if self.init == "whitened" else "random init"

    @property
    def outcome(self) -> str:
        """Which epoch is kept, as a sentence."""
        if not self.epochs_planned:
            return f"no epochs were planned: the {self.init_name} is kept"
        if not self.validation_classes:
            if self.best_epoch:
                return f"{counted(self.best_epoch, 'epoch')}, as another training chose"
            return f"the init was kept: without held-out classes no epoch can be compared with the {self.init_name}"
        if self.kept_init:
            return f"the init was kept: no epoch was better than the {self.init_name} by more than a standard error"
        stopped = f", stopped after epoch {self.epochs_done}" if self.epochs_done < self.epochs_planned else ""
        return f"best epoch {self.best_epoch} of {self.epochs_planned}{stopped}"

    @property
    def selection(self) -> str:
        """What was chosen, and on which classes, as a sentence; empty if nothing was held out."""
        if not self.validation_classes or self.learning_rate is None:
            return ""
        weights = ", ".join(f"{name} {weight:g}" for name, weight in sorted(self.merge_weights.items()))
        folds = f"{self.folds} class-disjoint folds" if self.folds > 1 else "the validation classes"
        epochs = counted(self.best_epoch, "epoch") if self.best_epoch else "the init alone"
        then = f"; then {epochs} on all classes" if self.folds > 1 else ""
        trained = "whole heads trained" if self.whole_heads else "residuals of the projections alone trained, without attention"
        return (
            f"chosen on {folds} by {'margin' if self.criterion == 'margin' else 'MAP@R'}: {self.init} init, "
            f"learning rate {self.learning_rate:g}, {trained}, head weights {weights}{then}"
        )

    @property
    def gain(self) -> str:
        """The gain of the init and of the training, as a sentence; empty if nothing was held out."""
        if not self.validation_classes:
            return ""
        interval = "" if self.gain_interval is None else " [{:+.4f}, {:+.4f}]".format(*self.gain_interval)
        if self.gain_interval and not self.kept_init and self.gain_interval[0] <= 0:
            interval += ", zero included"
        return (
            f"MAP@R on held-out classes: untrained trunk {self.untrained_map_at_r:.4f}, "
            f"{self.init_name} {self.init_map_at_r:.4f} ({self.gain_of_init:+.4f}), "
            f"after training {self.validation_map_at_r:.4f} ({self.gain_of_training:+.4f}{interval}){self._margins}"
        )

    @property
    def _margins(self) -> str:
        """The margins before and after training, where they were compared."""
        init, kept = self.history[0].margin, self.history[self.best_epoch].margin
        if self.criterion == "map_at_r" or init is None or kept is None:
            return ""
        return f"; MAP@R is saturated, so margins were compared: init {init:.3f}, after training {kept:.3f}"

    @property
    def warning(self) -> str:
        """The reasons to distrust the training, each with a remedy, in two sentences each; empty if there are none."""
        return " ".join(filter(None, (self._worse, self._saturation)))

    @property
    def _worse(self) -> str:
        """The warning of a network that is worse than the untrained trunk."""
        kept, untrained = self.validation_map_at_r, self.untrained_map_at_r
        if not self.validation_classes or kept >= untrained:
            return ""
        otherwise = ", or try train.init=random" if self.init == "whitened" else ""
        return (
            f"On held-out classes the network is worse than the untrained trunk (MAP@R {kept:.4f} and {untrained:.4f}), "
            f"as happens with few images. Add classes and images{otherwise}."
        )

    @property
    def _saturation(self) -> str:
        """The consequence of saturated validation classes and a remedy, in two sentences; empty if they are not saturated."""
        if not self.saturated:
            return ""
        if not self.validation_classes:
            return (
                "There are no held-out classes, so neither settings nor epochs can be chosen. Add classes: at least four must "
                "train or validate, and with train.folds=1 at least two of them validate."
            )
        easy, few = self.too_easy, self.validation_classes < FEWEST_CLASSES
        reasons = [
            *([f"the init reaches MAP@R {self.init_map_at_r:.4f} ({SATURATED_MAP_AT_R} or more)"] if easy else []),
            *([f"the number of held-out classes is {self.validation_classes} (fewer than {FEWEST_CLASSES})"] if few else []),
        ]
        harder = " that are harder to tell apart" if easy else ""
        return (
            f"Validation is saturated: {' and '.join(reasons)}, so a difference between epochs may be chance. "
            f"Add classes{harder}."
        )

    @property
    def summary(self) -> tuple[str, ...]:
        """The report in sentences: trunk, selection, outcome, gain, re-ranking, and a warning; those that there are."""
        trunk = trunk_choice(self.trunk_asked, self.trunk) if self.trunk else ""
        reranking = self.reranking.choice if self.reranking else ""
        said = (trunk, self.selection, self.outcome, self.gain, reranking, self.warning)
        return tuple(sentence for sentence in said if sentence)

    @property
    def figures(self) -> dict[str, float]:
        """The report's numbers by name, truth values as 0 and 1, for a record of metrics; none that was not measured."""
        absent = set() if self.validation_classes else _OF_HELD_OUT
        found = {
            name: float(value)
            for name, value in self.model_dump().items()
            if isinstance(value, bool | int | float) and name not in absent
        }
        if self.reranking:
            found |= {"gain_of_reranking": self.reranking.gain, "reranks": float(self.reranking.ratio is not None)}
        return found


def read_training(checkpoint: Path) -> TrainReport:
    """The training report in a checkpoint.

    Raises:
        NotFound: There is none.
        InvalidInput: It is damaged.
    """
    return read_schema(TrainReport, checkpoint / "training.json", "Run the pipeline again; the step train writes it.")
