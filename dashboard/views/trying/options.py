"""The options of the operations as fields of a form, from the schemas that the endpoint checks them by."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, get_args

from pydantic.fields import FieldInfo

from dashboard.views.trying.served import Served
from serving.operations import OPERATIONS
from serving.operations.operation import Operation

ORDER = ("search", "identify", "verify", "detect", "embed")
"""The operations in the order in which they are shown."""
_TITLES = {"k": "Neighbours", "label": "Label", "group": "Group", "rerank": "Re-rank", "matches": "Local matches"} | {
    "false_accept_rate": "False-accept rate",
    "min_score": "Least score",
}
_SHOWN = {"matches": True}
"""Defaults of the form where they are not those of the endpoint: what is drawn is wanted."""
_LISTED = {"label": "labels", "group": "groups"}


@dataclass(frozen=True)
class OptionField:
    """An option as a field of a form.

    Attributes:
        name: Name of the field: operation and option, such as `search.k`.
        title: Its title.
        kind: `number`, `text` or `checkbox`.
        value: What is in it; of a checkbox whether it is checked.
        help: What it means.
        step: Step of a number.
        least: Least number; None: unbounded.
        most: Greatest number; None: unbounded.
        choices: What may be typed, if that is a few values.
        listed: `labels` or `groups`, if it is one of those of the gallery; else empty.
    """

    name: str
    title: str
    kind: str
    value: Any
    help: str
    step: str = "any"
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    listed: str = ""


def fields(operation: Operation[Any], served: Served, given: Mapping[str, str]) -> list[OptionField]:
    """The options of an operation as fields, with what was typed before.

    Args:
        operation: The operation.
        served: The version that is asked: a gallery without groups has no field for them.
        given: What was typed, by name of the field; empty: the form is new.
    """
    found = []
    for name, option in operation.options.model_fields.items():
        if name == "group" and not served.groups:
            continue
        field = f"{operation.name}.{name}"
        kinds = {option.annotation, *get_args(option.annotation)} - {NoneType}
        kind = "checkbox" if bool in kinds else "number" if kinds & {int, float} else "text"
        default = _SHOWN.get(name, option.default)
        value = (field in given) if kind == "checkbox" and given else given.get(field, "" if default is None else default)
        rates = served.rates.get(operation.name, ()) if name == "false_accept_rate" else ()
        found.append(
            OptionField(
                name=field,
                title=_TITLES.get(name, name.replace("_", " ").capitalize()),
                kind=kind,
                value=value,
                help=option.description or "",
                step="1" if int in kinds else "any",
                least=_bound(option, "ge", "gt"),
                most=_bound(option, "le", "lt"),
                choices=tuple(f"{rate:g}" for rate in rates),
                listed=_LISTED.get(name, ""),
            )
        )
    return found


def options_of(operation: Operation[Any], served: Served, given: Mapping[str, str]) -> dict[str, Any]:
    """The options that a form states, as they are sent to the endpoint; what is left empty is left to it."""
    found: dict[str, Any] = {}
    for field in fields(operation, served, given):
        name = field.name.partition(".")[2]
        if field.kind == "checkbox":
            found[name] = bool(field.value)
        elif str(field.value).strip():
            found[name] = str(field.value).strip()
    return found


def operations() -> list[Operation[Any]]:
    """The operations in the order in which they are shown."""
    return sorted(OPERATIONS.values(), key=lambda each: ORDER.index(each.name) if each.name in ORDER else len(ORDER))


def _bound(option: FieldInfo, *kinds: str) -> float | None:
    """The first bound of these kinds that an option has."""
    for bound in option.metadata:
        for kind in kinds:
            if (value := getattr(bound, kind, None)) is not None:
                return float(value)
    return None
