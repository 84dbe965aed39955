"""TorchServe's tokens: without them no other user of this machine can ask it, or replace its models."""

from dataclasses import dataclass
from pathlib import Path

from model.files import read_json


@dataclass(frozen=True)
class Tokens:
    """The tokens of one running server.

    Attributes:
        management: Allows a change of what is registered.
        inference: Allows a query.
    """

    management: str
    inference: str

    def __repr__(self) -> str:
        return "Tokens(...)"


def read_tokens(file: Path) -> Tokens | None:
    """The tokens that the server wrote when it started; None if it has not, or the file is damaged."""
    try:
        written = read_json(file)
        return Tokens(str(written["management"]["key"]), str(written["inference"]["key"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
