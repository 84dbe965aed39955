"""The settings of a run as fields of a form, made from the configuration's JSON schema, and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model.config import RunConfig

FIRST = (
    "model.method",
    "train.epochs",
    "model.image_size",
    "gate.min_recall_at_1",
    "gate.min_map_at_r",
    "gate.approval",
)
"""The settings that stand at the head of the form."""
PREFIX = "set."
"""What the name of a setting's field begins with."""


@dataclass(frozen=True)
class Preset:
    """Settings that go well together.

    Attributes:
        title: Its name for people.
        text: What it is for.
        settings: The settings, by section.
    """

    title: str
    text: str
    settings: dict[str, Any]


PRESETS = {
    "quick": Preset(
        "Quick look",
        "A few epochs on one fold and small images: is there anything to learn here?",
        {"model": {"image_size": 128}, "train": {"epochs": 3, "folds": 1}, "evaluate": {"samples": 200}},
    ),
    "default": Preset("Default", "All settings at their defaults, as glocal run has them.", {}),
    "thorough": Preset(
        "Thorough",
        "More epochs, folds and image detail, and tighter intervals; several times as long.",
        {"model": {"image_size": 224}, "train": {"epochs": 40, "folds": 5, "patience": 10}, "evaluate": {"samples": 5000}},
    ),
}


@dataclass(frozen=True)
class Field:
    """A setting as a field of the form.

    Attributes:
        name: Full name, such as `train.epochs`.
        help: What it is.
        choices: Its values, where there are only some.
        default: Its default as text.
        numeric: Whether it is a number.
        low: Smallest value, with its relation, such as `at least 1`; empty if there is none.
        high: Largest value likewise.
    """

    name: str
    help: str
    choices: tuple[str, ...]
    default: str
    numeric: bool
    low: str
    high: str

    @property
    def title(self) -> str:
        """Its name for people."""
        words = self.name.partition(".")[2].replace("_", " ")
        for written, shown in (
            ("map at r", "MAP@R"),
            ("recall at 1", "Recall@1"),
            ("ap50", "AP50"),
            (" mb", " in MiB"),
            (" ms", " in ms"),
        ):
            words = words.replace(written, shown)
        return words[:1].upper() + words[1:]

    @property
    def bounds(self) -> str:
        """What values it takes, in words; empty if any."""
        return ", ".join(filter(None, [self.low, self.high]))


@dataclass(frozen=True)
class Section:
    """The fields of a section of the settings."""

    name: str
    title: str
    fields: tuple[Field, ...]


def sections() -> tuple[Section, ...]:
    """All settings, by section, in the order of the configuration."""
    schema = RunConfig.model_json_schema()
    return tuple(_section(name, schema["$defs"][prop["$ref"].rpartition("/")[2]]) for name, prop in schema["properties"].items())


def texts(settings: Mapping[str, Any]) -> dict[str, str]:
    """The given settings, by section, as texts of fields, by full name."""
    return {
        f"{section}.{name}": _text(value)
        for section, values in settings.items()
        if isinstance(values, Mapping)
        for name, value in values.items()
    }


def tree_of(form: Mapping[str, str]) -> dict[str, Any]:
    """The settings of a form, by section, as `model.config.parse_config` takes them. An empty field is left at its default."""
    tree: dict[str, Any] = {}
    known = {field.name: field for section in sections() for field in section.fields}
    for full, text in form.items():
        name = full.removeprefix(PREFIX)
        if name == full or not text.strip():
            continue
        section, _, key = name.partition(".")
        listed = name in known and known[name].default == "[]"
        tree.setdefault(section, {})[key] = _listed(text) if listed else text.strip()
    return tree


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.strip(" []").split(",") if part.strip()]


def _section(name: str, schema: Mapping[str, Any]) -> Section:
    fields = tuple(_field(f"{name}.{key}", value) for key, value in schema["properties"].items())
    return Section(name, str(schema.get("description", name)).rstrip("."), fields)


def _field(name: str, schema: Mapping[str, Any]) -> Field:
    choices = ("true", "false") if schema.get("type") == "boolean" else tuple(map(str, schema.get("enum", ())))
    return Field(
        name=name,
        help=str(schema.get("description", "")),
        choices=choices,
        default=_text(schema.get("default")),
        numeric=schema.get("type") in {"integer", "number"},
        low=_bound(schema, "minimum", "at least") or _bound(schema, "exclusiveMinimum", "above"),
        high=_bound(schema, "maximum", "at most") or _bound(schema, "exclusiveMaximum", "below"),
    )


def _bound(schema: Mapping[str, Any], key: str, word: str) -> str:
    return f"{word} {schema[key]:g}" if key in schema and schema[key] < 2**32 else ""


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    return "" if value is None else str(value)
