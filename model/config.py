"""Every setting of a run, as one frozen tree. It is read and checked once, where a run starts, and passed on as plain values.

    glocal run DIR --config run.yaml --set train.epochs=20

An unknown setting is an error that names the nearest known one. This module imports no torch.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from model.data.decoding.limits import MAX_BYTES, MAX_PIXELS, ImageLimits
from model.errors import InvalidInput
from model.named_parts import nearest
from model.nested import flattened
from model.networks.attention import ATTENTION
from model.networks.methods import method_names
from model.schemas.approval import ApprovalRule
from model.text import excerpt

SEVERAL_FOLDS = 3
"""Folds of a selection by default, unless the trunk is finetuned."""
_UNREADABLE = (yaml.YAMLError, ValueError, AttributeError, TypeError, RecursionError)
"""Errors of the YAML reader for text that has no value; not all of them are its own."""


def _one_of(what: str, known: list[str]) -> AfterValidator:
    """A check that a text is one of the known names."""

    def check(name: str) -> str:
        if name not in known:
            raise PydanticCustomError("unknown_name", "there is no {what} {name}", {"what": what, "name": name, "known": known})
        return name

    return AfterValidator(check)


_METHODS, _ATTENTION = method_names(), ["method", *ATTENTION]
MethodName = Annotated[str, _one_of("method", _METHODS), Field(json_schema_extra={"enum": list(_METHODS)})]
AttentionName = Annotated[str, _one_of("attention block", _ATTENTION), Field(json_schema_extra={"enum": list(_ATTENTION)})]

_RENAMED = {
    "train.start": "train.init",
    "train.learning_rate": "train.learning_rates",
    "serve.golden_queries": "index.golden_queries",
}
"""Settings of earlier versions and their names now."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataConfig(_Section):
    """How a folder of images becomes a pinned data set."""

    split: Literal["zero-shot", "manifest", "gallery"] = Field(
        "zero-shot",
        description="zero-shot: the first half of the classes trains; manifest: as the CSV's split column says; "
        "gallery: none trains, all are searched: one class, or one image of a class, is enough; glocal gallery sets it",
    )
    validation_fraction: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="Share of the training classes that are validation classes; a training on several folds (train.folds) "
        "deals both kinds to its folds alike",
    )
    boxes: Literal["pixels", "normalised"] = Field(
        "pixels", description="Unit of the boxes in a CSV; normalised: from 0 to 1, as fractions of the image's width and height"
    )
    conflicts: Literal["fail", "drop", "keep"] = Field(
        "fail", description="What to do with one image in several classes; drop: all its copies are left out; keep: all stay"
    )
    leaks: Literal["fail", "drop"] = Field(
        "fail",
        description="What to do with one image on both sides of the split; drop: the copy on the training side is left out",
    )
    singletons: Literal["fail", "drop", "distractor"] = Field(
        "fail",
        description="What to do with a class of one usable image; distractor: it is searched, but never trained on or a query",
    )
    skip_unreadable: bool = Field(
        False, description="Leave out images that cannot be used: unreadable, damaged, oversized; false: each is a defect"
    )
    max_image_bytes: int = Field(MAX_BYTES, gt=0, le=MAX_BYTES, description="Larger files are refused")
    max_image_pixels: int = Field(
        MAX_PIXELS, gt=0, le=MAX_PIXELS, description="Larger images are refused before they are decoded"
    )
    licence: str = Field(
        "",
        max_length=500,
        description="Terms of the data, as the model card states them; empty: from a LICENSE file in the folder",
    )

    @property
    def image_limits(self) -> ImageLimits:
        """The upper limits of one image."""
        return ImageLimits(self.max_image_bytes, self.max_image_pixels)


class ModelConfig(_Section):
    """The network: a trunk tapped at two depths, and heads on the taps."""

    method: MethodName = Field("multi_head", description="Named composition of heads and losses")
    global_attention: AttentionName = Field(
        "method", description="Attention block of the global head; method: the block that the method names"
    )
    local_attention: AttentionName = Field(
        "method", description="Attention block of the local head; method: the block that the method names"
    )
    trunk: str = Field("tf_efficientnet_lite0", description="Name of a timm model that offers feature maps")
    weights: Literal["offline", "hub", "none"] = Field(
        "offline",
        description="Initial weights of the trunk; offline: from an installed package; hub: downloaded by timm; none: random",
    )
    image_size: int = Field(160, ge=32, le=1024, description="Side of the square image that the trunk takes, in pixels")


class TrainConfig(_Section):
    """How the heads, and optionally the trunk, are trained."""

    trunk: Literal["auto", "frozen", "finetune"] = Field(
        "auto",
        description="frozen: feature maps are computed once and only the heads are trained; finetune: the trunk is trained too; "
        "auto: finetune where the training has a GPU, else frozen",
    )
    epochs: int = Field(12, ge=0, le=1000, description="Number of passes over the training images; 0 keeps the init")
    classes_per_batch: int = Field(16, ge=2, description="Classes in a batch, over all processes")
    images_per_class: int = Field(4, ge=2, description="Images of each class in a batch")
    init: Literal["method", "whitened", "random"] = Field(
        "method",
        description="Init of the projections; whitened: closed form, from the training images; method: the method's own init",
    )
    folds: int = Field(
        0,
        ge=0,
        le=20,
        description="Class-disjoint folds on which settings and epochs are chosen, before all classes are trained on; "
        "1: on the validation classes, which are not trained on; 0: 3, or 1 if the trunk is finetuned and there are two "
        "validation classes or more",
    )
    learning_rates: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (),
        description="Learning rates of the heads, as a list, of which one is chosen on held-out classes; "
        "empty: 0.0003 and 0.001, or 0.0003 if the trunk is finetuned",
    )
    frozen_stride: int = Field(
        8,
        ge=0,
        description="If the trunk is finetuned, its layers up to the feature map of this stride, in pixels, stay frozen; "
        "0: all are trained",
    )
    trunk_learning_rate: float = Field(1e-4, gt=0, description="Learning rate of the trunk, if it is finetuned")
    proxy_learning_rate: float = Field(1e-2, gt=0, description="Learning rate of the class proxies")
    weight_decay: float = Field(1e-4, ge=0, description="Weight decay of AdamW, for all trained parameters")
    warmup_epochs: int = Field(
        1, ge=0, description="Epochs in which the learning rates rise; after a random init the trunk is not trained during them"
    )
    clip: float = Field(10.0, gt=0, description="Largest absolute value of a gradient's element; larger values are clipped")
    patience: int = Field(
        6, ge=1, description="Epochs without a clearly better one on held-out classes after which training ends"
    )
    rerank: Literal["auto", "never"] = Field(
        "auto",
        description="Whether searches are re-ranked by local features; auto: if it is clearly better on held-out images",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of the batches, the augmentation and all random inits")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Device to train on; auto: a GPU where there is one")
    workers: int = Field(2, ge=0, description="Threads that load batches ahead of the training, in each process")
    processes: int = Field(
        1,
        ge=0,
        le=64,
        description="Processes that share every batch, on each machine, with a GPU each where there are any; 0: one for each GPU",
    )
    nodes: int = Field(
        1, ge=1, le=64, description="Machines with so many processes each; above 1: a TrainJob of Kubeflow Trainer, on a cluster"
    )
    precision: Literal["auto", "32", "bf16"] = Field(
        "auto", description="Precision of the network; auto: bf16 on a GPU that supports it, else 32 bits"
    )
    compile: bool = Field(False, description="Compile the network with torch.compile: a slower first step, then faster on GPUs")
    chunk: int = Field(
        0,
        ge=0,
        description="Images in one forward pass, in each process, where a batch does not fit in memory; 0: the whole batch",
    )
    ema: float = Field(
        0.0, ge=0, lt=1, description="Decay of the moving average of the weights, which is then evaluated and kept; 0: no average"
    )
    checkpoint_every: int = Field(
        1000, ge=1, description="Steps between checkpoints; the end of an epoch and SIGTERM write one too"
    )

    def decided(self, device: str) -> "TrainConfig":
        """The settings for a type of device, `cpu` or `cuda`, with `trunk` decided where it is `auto`."""
        if self.trunk != "auto":
            return self
        return self.model_copy(update={"trunk": "finetune" if device == "cuda" else "frozen"})

    @property
    def compared_rates(self) -> tuple[float, ...]:
        """The learning rates that are compared, each once."""
        return tuple(dict.fromkeys(self.learning_rates)) or ((3e-4,) if self.trunk == "finetune" else (3e-4, 1e-3))

    @property
    def fold_count(self) -> int:
        """The number of folds that are asked for."""
        return self.folds or (1 if self.trunk == "finetune" else SEVERAL_FOLDS)


class IndexConfig(_Section):
    """What a release holds beside the network, and how its gallery is searched."""

    golden_queries: int = Field(4, ge=1, le=64, description="Images whose answers a release must reproduce before it serves")
    detection: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether a release finds its objects in scenes; auto: if the data have boxes; always: from whole images too",
    )
    gallery: Literal["auto", "flat", "ivf", "milvus"] = Field(
        "auto",
        description="How the gallery is searched; flat: every entry; ivf: the entries near the query, in lists; milvus: by the "
        "server at `GLOCAL_MILVUS_URI`, which gets the vectors; auto: ivf for more entries than `index.flat_up_to`",
    )
    flat_up_to: int = Field(50_000, ge=0, description="Most entries of a gallery of which a search compares every one")
    shards: int = Field(
        1, ge=1, le=1000, description="Parts in which the images are embedded, each by a step of its own; 1: by the step index"
    )
    min_recall: float = Field(
        0.98,
        ge=0,
        le=1,
        description="Least share of the 10 nearest that an approximate search must find, as measured on entries of the gallery",
    )


class EvaluateConfig(_Section):
    """How the figures of the unseen classes are computed."""

    samples: int = Field(1000, ge=100, description="Number of bootstrap samples for each interval")


class GateConfig(_Section):
    """What a model must reach before it is registered."""

    min_recall_at_1: float = Field(0.0, ge=0, le=1, description="Lowest Recall@1 on the test classes")
    min_map_at_r: float = Field(0.0, ge=0, le=1, description="Lowest MAP@R on the test classes")
    min_gain_over_untrained: float = Field(0.0, ge=-1, le=1, description="Lowest gain in MAP@R over the untrained trunk")
    comparison: Literal["not_inferior", "superior"] = Field(
        "not_inferior", description="Whether MAP@R may be max_regression below the champion's, or must be above it"
    )
    level: float = Field(
        0.05, gt=0, le=0.5, description="Probability that a comparison with the champion errs by chance, in each rule"
    )
    max_regression: float = Field(
        0.01, ge=0, le=1, description="Largest drop in MAP@R below the champion's, at the lower bound of the paired comparison"
    )
    max_group_regression: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Largest drop in MAP@R of a group below the champion's, at its upper bound, corrected for their number; "
        "of a class where the data name no groups",
    )
    max_collisions: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Largest share of enrolled images that are taken for another object of the gallery, if it is larger than the "
        "false-accept rate that the threshold states; glocal gallery alone",
    )
    max_calibration_error: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Largest distance of a false-accept rate that a threshold states from its interval on the test classes; "
        "1: any",
    )
    min_ap50: float = Field(
        0.0, ge=0, le=1, description="Lowest AP50 of detection, on scenes that calibrated nothing; above 0 a release must detect"
    )
    max_ap50_regression: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Largest drop in AP50 below the champion's on the same scenes, at the lower bound of the paired comparison",
    )
    approval: Literal["none", "required"] = Field(
        "none", description="Whether operators must approve a version that passed before it serves: glocal approve"
    )
    approvers: int = Field(1, ge=1, description="Number of operators who must approve it")
    own_approval: bool = Field(False, description="Whether who started the run may be one of them")
    max_size_mb: float = Field(2048, gt=0, description="Largest size of the release folder, in MiB")
    max_memory_mb: float = Field(
        4096, gt=0, description="Largest memory of a process that answers queries with the release, in MiB"
    )
    max_latency_ms: float = Field(
        5000, gt=0, description="Longest time of a query, the fastest of 20 on the evaluating machine, in milliseconds"
    )

    @property
    def approval_rule(self) -> ApprovalRule | None:
        """Whose word a version needs before it serves; None: nobody's."""
        return ApprovalRule(approvers=self.approvers, own=self.own_approval) if self.approval == "required" else None


class ServeConfig(_Section):
    """How the released model is served."""

    name: str = Field(
        "", pattern=r"^[A-Za-z0-9_-]{0,64}$", description="Name of the registered and served model; empty: the data set's name"
    )
    replace_other_data: bool = Field(False, description="Replace a champion that was made from another data set")
    workers: int = Field(1, ge=1, le=64, description="Worker processes behind the endpoint")


class RunConfig(_Section):
    """All settings of one pipeline run."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    index: IndexConfig = IndexConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    gate: GateConfig = GateConfig()
    serve: ServeConfig = ServeConfig()


def setting_texts(config: RunConfig) -> dict[str, str]:
    """Every setting by its full name, such as `train.epochs`, as the text that a run records; empty for None."""
    return {name: "" if value is None else str(value) for name, value in flattened(config.model_dump(mode="json"))}


def load_config(file: Path | None = None, overrides: Iterable[str] = ()) -> RunConfig:
    """Read a YAML file, then apply `section.key=value` overrides. All other settings keep their defaults.

    Raises:
        InvalidInput: The file is no YAML mapping, a key is unknown, or a value has a wrong type; the message names the key.
    """
    return parse_config(read_settings(file, overrides))


def read_settings(file: Path | None, overrides: Iterable[str]) -> dict[str, Any]:
    """The settings that a YAML file and `section.key=value` overrides give, by section, for `parse_config`.

    Raises:
        InvalidInput: The file is no YAML mapping, or an override has another form.
    """
    tree: dict[str, Any] = {}
    if file is not None:
        try:
            loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, *_UNREADABLE) as error:
            reason = str(error).splitlines()[0][:200]
            raise InvalidInput(f"{file} cannot be read as YAML: {reason}", "Name or correct the file of settings.") from error
        if not isinstance(loaded, dict | None):
            raise InvalidInput(f"{file} is not a mapping of sections.", f"Sections: {', '.join(RunConfig.model_fields)}.")
        tree = loaded or {}
    for override in overrides:
        _override(tree, override)
    return tree


def parse_config(tree: dict[str, Any]) -> RunConfig:
    """Check a tree of settings.

    Raises:
        InvalidInput: A setting is wrong; the message names the first such setting in full.
    """
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise _explained(error.errors()[0]) from error


def setting_errors(tree: dict[str, Any]) -> dict[str, InvalidInput]:
    """What is wrong in a tree of settings, by the full name of each setting; empty if nothing is. See `parse_config`."""
    try:
        RunConfig.model_validate(tree)
    except ValidationError as error:
        return {".".join(str(part) for part in each["loc"][:2]): _explained(each) for each in reversed(error.errors())}
    return {}


def changed_settings(config: RunConfig) -> dict[str, Any]:
    """The settings that are not the default, by section, as `parse_config` takes them."""
    return {name: section for name, section in config.model_dump(mode="json", exclude_defaults=True).items() if section}


def _override(tree: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    keys = path.split(".")
    if not equals or not all(keys):
        raise InvalidInput(
            f"--set {excerpt(override)} is not of the form section.key=value.", "For example: --set train.epochs=20"
        )
    for key in keys[:-1]:
        inner = tree.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InvalidInput(
                f"--set {excerpt(override)}: {excerpt(key)} is a value, not a section.", "Write section.key=value."
            )
        tree = inner
    try:
        tree[keys[-1]] = yaml.safe_load(text)
    except _UNREADABLE as error:
        raise InvalidInput(
            f"--set {excerpt(override)}: the value cannot be read.", "Write a number, a text, true, false, or [a, list]."
        ) from error


def served_name(config: ServeConfig, data_name: str) -> str:
    """The name of the registered and served model: as set, else the data set's, with dashes in place of dots."""
    return config.name or data_name.replace(".", "-")


def setting_names() -> list[str]:
    """Every setting's full name, such as `train.epochs`."""
    sections = {name: type(field.default) for name, field in RunConfig.model_fields.items()}
    return [f"{name}.{key}" for name, section in sections.items() for key in section.model_fields]


def _explained(first: Any) -> InvalidInput:
    name = excerpt(".".join(str(part) for part in first["loc"]))
    if first["type"] == "extra_forbidden":
        known = [*setting_names(), *RunConfig.model_fields]
        return InvalidInput(f"There is no setting {name}.", f"Did you mean {_RENAMED.get(name) or nearest(name, known)}?")
    if first["type"] == "unknown_name":
        hint = f"Did you mean {nearest(str(first['input']), first['ctx']['known'])}?"
        return InvalidInput(f"Setting {name}: {excerpt(first['msg'])}.", hint)
    if first["type"] == "tuple_type":
        return InvalidInput(f"Setting {name}: it is a list, not {excerpt(repr(first['input']))}.", f"Write {name}=[...].")
    return InvalidInput(f"Setting {name}: {first['msg'][:1].lower()}{first['msg'][1:]}, not {excerpt(repr(first['input']))}.")
