"""The names of timm's models, read from its source: to import timm is to import torch, for seconds and hundreds of megabytes.

The dashboard and the command line check by them what is ordered. Whether a model offers feature maps is known where it is made.
"""

import importlib.util
import re
from functools import cache
from pathlib import Path

from model.errors import InvalidInput
from model.named_parts import nearest

LITE0 = "tf_efficientnet_lite0"
_MODEL = re.compile(r"^@register_model\b.*\n(?:@.*\n)*def (\w+)", re.MULTILINE)
_RENAMED = re.compile(r"^register_model_deprecations\(__name__, \{(.*?)^\}\)", re.MULTILINE | re.DOTALL)
_KEY = re.compile(r"^\s*['\"]([^'\"]+)['\"]\s*:", re.MULTILINE)


def check_trunk_name(name: str, weights: str) -> None:
    """Check whether there is a trunk of this name and with these weights, without importing timm.

    Raises:
        InvalidInput: timm has no such model, or no installed package holds its weights.
    """
    known = trunk_names()
    if known and name.partition(".")[0] not in known:  # behind the point stands which of its weights are meant
        raise no_trunk(name, known)
    if weights == "offline":
        check_offline(name)


def check_offline(name: str) -> None:
    """Check whether an installed package holds the weights of a trunk.

    Raises:
        InvalidInput: None does.
    """
    if name != LITE0:
        raise InvalidInput(
            f"No installed package holds weights for {name}.",
            "Set model.weights=hub to download them, or model.weights=none.",
        )


def no_trunk(name: str, known: frozenset[str]) -> InvalidInput:
    """The error that there is no such trunk, with the known name that is spelled most like it."""
    return InvalidInput(
        f"There is no trunk {name} with feature maps.",
        f"Did you mean {nearest(name, sorted(known))}? timm.list_models() lists all; set model.trunk.",
    )


@cache
def trunk_names() -> frozenset[str]:
    """The names of timm's models, with those that it has renamed; none where timm is not installed."""
    package = importlib.util.find_spec("timm")
    if package is None or package.origin is None:
        return frozenset()
    names = set[str]()
    for file in (Path(package.origin).parent / "models").glob("*.py"):
        source = file.read_text(encoding="utf-8")
        names.update(_MODEL.findall(source))
        names.update(name for renamed in _RENAMED.findall(source) for name in _KEY.findall(renamed))
    return frozenset(names)
