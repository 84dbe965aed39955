"""One version of a model with what stands beside it on its pages. It is read alone, however many versions the model has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dashboard.views.models.endpoint import Serving, serving_of
from model.environment import Environment
from model.errors import NotFound
from model.schemas.approval import Approval
from model.schemas.model_version import ModelVersion
from model.schemas.promotion import Promotion

if TYPE_CHECKING:
    from serving.registry.models import Registry


@dataclass(frozen=True)
class Found:
    """A version.

    Attributes:
        registry: The model's registry.
        version: The version.
        champion: The version with the alias `champion`; None if there is none.
        aliases: The version that each alias of the model points at.
        history: The entries of the ledger on the version, oldest first.
        said: What was said of the version; None if it needs no approval.
        serving: What the endpoint serves of the model.
    """

    registry: "Registry"
    version: ModelVersion
    champion: ModelVersion | None
    aliases: Mapping[str, str]
    history: tuple[Promotion, ...]
    said: Approval | None
    serving: Serving

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.version.model

    @property
    def beside(self) -> ModelVersion | None:
        """The champion; None if there is none, or this is it."""
        return self.champion if self.champion is not None and self.champion.version != self.version.version else None


def open_model(environment: Environment, name: str) -> tuple["Registry", dict[str, str]]:
    """The registry of a model, and the version that each of its aliases points at.

    Raises:
        NotFound: There is none of this name.
        StorageFailed: MLflow's database is lost or damaged.
    """
    from serving.registry.models import Registry, registered_models
    from serving.registry.store import is_new, refuse_lost_records

    uri = environment.mlflow_uri
    refuse_lost_records(uri, environment.home)
    if not is_new(uri):
        registry = Registry(uri, name)
        if (aliases := registry.aliases()) is not None:
            return registry, aliases
    registered = ", ".join([] if is_new(uri) else registered_models(uri)) or "none"
    raise NotFound(f"There is no model {name[:100]}.", f"Registered: {registered}.")


def find_version(environment: Environment, name: str, number: str) -> Found:
    """A version of a model, by its number or an alias.

    Raises:
        NotFound: There is none.
        StorageFailed: MLflow's database is lost or damaged.
    """
    from serving.approval import approvals
    from serving.history import read_history

    registry, aliases = open_model(environment, name)
    version = version_of(registry, aliases, number)
    champion = aliases.get("champion")
    history = read_history(environment.mlflow_uri, name=name, version=version.version)
    return Found(
        registry,
        version,
        version if champion == version.version else version_of(registry, aliases, champion) if champion else None,
        aliases,
        tuple(history),
        approvals(history, [version]).get(version.version),
        serving_now(environment, name, champion),
    )


def version_of(registry: "Registry", aliases: Mapping[str, str], number: str) -> ModelVersion:
    """A version that holds a release, by its number or an alias.

    Raises:
        NotFound: There is none.
    """
    try:
        version = registry.version(aliases.get(number, number), aliases)
    except NotFound:
        version = None
    if version is None or not version.release:
        raise NotFound(f"There is no version {number[:100]} of {registry.name}.", "The page of the model lists its versions.")
    return version


def serving_now(environment: Environment, name: str, champion: str | None) -> Serving:
    """What the endpoint serves of a model with this champion."""
    from serving import server

    return serving_of(server.status(environment.home), name, champion)
