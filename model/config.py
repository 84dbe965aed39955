"""Every setting of a run, as one frozen tree: read once at the edge, checked there, and handed on as plain values.

    glocal run --data DIR --config run.yaml --set train.epochs=20

A setting that does not exist is an error that names it and the nearest one that does.
"""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model.errors import InvalidInput

_UNREADABLE = (yaml.YAMLError, ValueError, AttributeError, TypeError, RecursionError)
"""What the YAML reader raises for text that it cannot make a value of: not only errors of its own."""


MethodName = Literal[
    "multi_head",
    "multi_head_paper",
    "proxy_anchor",
    "abe",
    "delg",
    "solar",
    "sona",
    "global_only",
    "local_only",
    "attention_none",
    "attention_nonlocal",
    "attention_channel",
    "attention_residual_mask",
    "multi_similarity_only",
    "normalized_softmax_only",
    "proxy_anchor_instead",
    "proxy_anchor_only",
    "proxy_weight_third",
    "proxy_weight_threefold",
    "loss_on_merged_only",
    "loss_on_heads_only",
    "local_weight_half",
    "local_weight_one",
    "local_average",
    "start_random",
]
Attention = Literal["second_order", "second_order_nonlocal", "second_order_channel", "residual_mask", "mask", "none"]
AttentionSetting = Literal["method", Attention]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataConfig(_Section):
    """How a folder of images becomes a pinned data set."""

    split: Literal["zero-shot", "manifest"] = Field(
        "zero-shot", description="zero-shot: the first half of the classes trains; manifest: as the CSV's split column says"
    )
    validation_fraction: float = Field(
        0.2, gt=0, lt=1, description="Share of the training classes held out to choose the checkpoint by"
    )
    boxes: Literal["pixels", "normalised"] = Field(
        "pixels", description="Unit of the boxes in a CSV; normalised: from 0 to 1, as fractions of the image's width and height"
    )
    conflicts: Literal["fail", "drop", "keep"] = Field(
        "fail", description="What to do with one image in several classes; drop: all its copies are left out; keep: all stay"
    )
    leaks: Literal["fail", "drop"] = Field(
        "fail", description="What to do with one image on both sides of the split; drop: the copy to train on is left out"
    )
    singletons: Literal["fail", "drop", "distractor"] = Field(
        "fail",
        description="What to do with a class of one usable image; distractor: it is searched, but never trained on or a query",
    )
    skip_unreadable: bool = Field(
        False, description="Whether unreadable, damaged and oversized images are left out; otherwise they refuse the data set"
    )
    max_image_bytes: int = Field(64 * 2**20, gt=0, description="Larger files are refused")
    max_image_pixels: int = Field(100_000_000, gt=0, description="Larger images are refused before they are decoded")
    licence: str = Field(
        "",
        max_length=500,
        description="Terms of the data, as the model card states them; empty: from a LICENSE file in the folder",
    )


class ModelConfig(_Section):
    """The network: a trunk tapped at two depths, and a head on each tap."""

    method: MethodName = Field("multi_head", description="A named composition of heads and losses")
    global_attention: AttentionSetting = Field("method", description="Attention on the global head; method: as the method says")
    local_attention: AttentionSetting = Field("method", description="Attention on the local head; method: as the method says")
    trunk: str = Field("tf_efficientnet_lite0", description="Any timm model that offers feature maps, by its name")
    weights: Literal["offline", "hub", "none"] = Field(
        "offline", description="offline: from an installed package; hub: timm's own, downloaded; none: random"
    )
    image_size: int = Field(160, ge=32, le=1024, description="Side of the square image the trunk sees, in pixels")


class TrainConfig(_Section):
    """How the heads, and the trunk if asked, are trained."""

    trunk: Literal["frozen", "finetune"] = Field(
        "frozen", description="frozen: feature maps are computed once and only the heads learn"
    )
    epochs: int = Field(12, ge=0, le=1000, description="Passes over the training images; 0 keeps the heads as initialised")
    classes_per_batch: int = Field(16, ge=2, description="Classes in a batch, over all processes")
    images_per_class: int = Field(4, ge=2, description="Images of each class in a batch")
    start: Literal["method", "whitened", "random"] = Field(
        "method", description="Where projections start: as whitenings of the training images, at random, or as the method says"
    )
    learning_rate: float = Field(1e-4, gt=0, description="Of the heads")
    trunk_learning_rate: float = Field(1e-4, gt=0, description="Of the trunk, when it is finetuned")
    proxy_learning_rate: float = Field(1e-2, gt=0, description="Of the class proxies")
    weight_decay: float = Field(1e-4, ge=0, description="AdamW's, on everything that learns")
    warmup_epochs: int = Field(1, ge=0, description="Epochs in which the trunk rests and the rates rise")
    clip: float = Field(10.0, gt=0, description="Gradient values are clipped here")
    patience: int = Field(6, ge=1, description="Epochs without a better validation MAP@R after which training ends")
    seed: int = Field(0, ge=0, description="Decides the batches, the augmentation and whatever starts at random")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where to train; auto: a GPU where there is one")
    workers: int = Field(2, ge=0, description="Threads that make batches ahead of the training, in each process")
    precision: Literal["auto", "32", "bf16"] = Field("auto", description="Of the network; auto: bf16 on a GPU that has it")
    compile: bool = Field(False, description="Compile the network with torch.compile: slower to start, faster on GPUs")
    chunk: int = Field(
        0, ge=0, description="Images through the network at once, in each process, where a batch does not fit; 0: the batch"
    )
    ema: float = Field(
        0.0, ge=0, lt=1, description="Decay of a moving average of the weights, kept in place of the last ones; 0: none"
    )
    checkpoint_every: int = Field(1000, ge=1, description="Steps between checkpoints; every epoch's end and SIGTERM make one too")


class EvaluateConfig(_Section):
    """How figures are made from the unseen classes."""

    samples: int = Field(1000, ge=100, description="Bootstrap samples behind every interval")


class GateConfig(_Section):
    """What a model must reach before it is registered."""

    min_recall_at_1: float = Field(0.0, ge=0, le=1, description="Lowest Recall@1 on the test classes")
    min_map_at_r: float = Field(0.0, ge=0, le=1, description="Lowest MAP@R on the test classes")
    min_gain_over_untrained: float = Field(0.0, ge=-1, le=1, description="Lowest gain in MAP@R over the untrained trunk")
    max_regression: float = Field(
        0.01, ge=0, le=1, description="Largest loss in MAP@R against the champion, at the lower end of the interval"
    )
    max_group_regression: float = Field(
        0.15,
        ge=0,
        le=1,
        description="Largest loss in MAP@R of one group against the champion; of one class where the data name no groups",
    )
    max_size_mb: float = Field(2048, gt=0, description="Largest size of the release folder, in MiB")
    max_latency_ms: float = Field(
        5000, gt=0, description="Longest time of a query, the fastest of 20 on the evaluating machine, in milliseconds"
    )


class ServeConfig(_Section):
    """How the promoted release answers."""

    name: str = Field(
        "glocal", pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Name of the registered model and of the served one"
    )
    workers: int = Field(1, ge=1, le=64, description="Worker processes behind the endpoint")
    golden_queries: int = Field(4, ge=1, le=64, description="Images whose answers a release must reproduce before it serves")


class RunConfig(_Section):
    """Everything one pipeline run can be told."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    gate: GateConfig = GateConfig()
    serve: ServeConfig = ServeConfig()


def load_config(file: Path | None = None, overrides: Iterable[str] = ()) -> RunConfig:
    """Read a YAML file and then `section.key=value` overrides; what is not said keeps its default.

    Raises:
        InvalidInput: A file that is no YAML mapping, an unknown key, a wrong type; the message names the key.
    """
    tree: dict[str, Any] = {}
    if file is not None:
        try:
            loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, *_UNREADABLE) as error:
            raise InvalidInput(f"{file} cannot be read as YAML: {str(error).splitlines()[0][:200]}") from error
        if not isinstance(loaded, dict | None):
            raise InvalidInput(f"{file} is not a mapping of sections.", f"Sections: {', '.join(RunConfig.model_fields)}.")
        tree = loaded or {}
    for override in overrides:
        _override(tree, override)
    return parse_config(tree)


def parse_config(tree: dict[str, Any]) -> RunConfig:
    """Check a tree of settings.

    Raises:
        InvalidInput: The first thing wrong, by the key's full name.
    """
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise _explained(error) from error


def _override(tree: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    keys = path.split(".")
    if not equals or not all(keys):
        raise InvalidInput(f"--set {override} is not of the form section.key=value.")
    for key in keys[:-1]:
        inner = tree.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InvalidInput(f"--set {override}: {key} is a value, not a section.")
        tree = inner
    try:
        tree[keys[-1]] = yaml.safe_load(text)
    except _UNREADABLE as error:
        raise InvalidInput(f"--set {override}: the value cannot be read.") from error


def setting_names() -> list[str]:
    """Every setting's full name, such as `train.epochs`."""
    sections = {name: type(field.default) for name, field in RunConfig.model_fields.items()}
    return [f"{name}.{key}" for name, section in sections.items() for key in section.model_fields]


def _explained(error: ValidationError) -> InvalidInput:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = [*setting_names(), *RunConfig.model_fields]
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
        return InvalidInput(f"There is no setting {name}.", f"Did you mean {near[0]}?")
    return InvalidInput(f"Setting {name}: {first['msg'][:1].lower()}{first['msg'][1:]}, not {first['input']!r}.")
