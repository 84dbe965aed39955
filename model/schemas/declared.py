"""What the replicas of an endpoint are to serve, as it is declared to each of them."""

from pydantic import Field, TypeAdapter

from model.errors import InvalidInput
from model.schemas.challenge import Challenge
from model.schemas.schema import Schema


class DeclaredVersion(Schema):
    """A version that each replica fetches from the registry, verifies and loads."""

    version: str = Field(description="The model version")
    release: str = Field(min_length=1, description="Id of its release, which is a hash of all its files")
    workers: int = Field(1, ge=1, description="Number of worker processes in each replica")


class DeclaredChallenger(DeclaredVersion):
    """A version that is tried beside the one that serves."""

    challenge: Challenge = Field(description="Its terms")


class DeclaredModel(DeclaredVersion):
    """The version of a model that serves."""

    challenger: DeclaredChallenger | None = Field(None, description="The version that is tried beside it")


Declared = dict[str, DeclaredModel]
"""What is to be served, by name of the model."""
_DECLARED = TypeAdapter(Declared)


def read_declared(text: str) -> Declared:
    """What a text declares; nothing if it is empty.

    Raises:
        InvalidInput: It is no such declaration.
    """
    try:
        return _DECLARED.validate_json(text) if text else {}
    except ValueError as error:
        raise InvalidInput("What is declared to be served cannot be read.", f"It is {text[:200]!r}.") from error


def declared_text(declared: Declared) -> str:
    """The text of a declaration, the same for the same declaration."""
    return _DECLARED.dump_json(dict(sorted(declared.items())), exclude_none=True).decode()
