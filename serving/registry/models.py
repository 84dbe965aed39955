"""The registry of releases: versions with evidence, and the aliases that say which of them serves."""

import contextlib
import shutil
import tempfile
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from model.errors import InvalidInput, NotFound
from model.files import atomic_folder
from model.locks import hold
from model.release import Release, open_release
from model.schemas.model_version import Alias, ModelVersion
from model.scratch import scratch_folder
from serving.registry.runs import experiment_id, open_client, sqlite_file
from serving.registry.stored import release_in, save_model

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as Row

ALIASES: tuple[Alias, ...] = get_args(Alias)
RELEASES = "glocal-releases"
_MODEL = "model"
_CARD = "model_card.md"
_DESCRIPTION = 5000
"""Characters that MLflow's column for a description holds."""
_TEXTS = ("release", "embedding_space_id", "data_name", "data_md5", "data_rev", "code_revision", "run_id")
_WAIT_S = 300.0
_PATIENCE_S = 60


class Registry:
    """The versions of one registered model.

    Args:
        tracking_uri: `sqlite:///...` or an MLflow server.
        name: Of the registered model.
        artifact_root: Where releases are kept; default: `mlartifacts` beside a SQLite file, else where the server keeps them.
    """

    def __init__(self, tracking_uri: str, name: str = "glocal", artifact_root: Path | None = None) -> None:
        if not name:
            raise InvalidInput("A registered model needs a name.", "Set serve.name, or give the data a name.")
        self.name = name
        self._uri = tracking_uri
        self._root = artifact_root
        self._client = open_client(tracking_uri)

    def register(self, release: Path, evidence: Mapping[str, str | float], run_id: str | None = None, *, card: str = "") -> str:
        """Keep a release as a new model version; one that is registered already keeps the version it has.

        Args:
            release: The release folder; it is verified first.
            evidence: Report figures and whatever else should stand beside it, as tags.
            run_id: The run that made it.
            card: Its model card, in Markdown: the version's description, so that whoever promotes it sees it, as far as MLflow's
                field is long; all of it lies beside the release.

        Returns:
            The version.

        Raises:
            InvalidInput: The release is not whole.
        """
        opened = open_release(release)
        with self._alone():
            known = self.find(opened.id)
            return known if known is not None else self._register(opened, evidence, run_id, card)

    def describe(self, version: str, card: str) -> None:
        """Put another model card in the place of a version's.

        Raises:
            NotFound: There is no such version.
        """
        found = self._get(version)
        with self._alone():
            self._client.log_text(str(found.run_id), card, _CARD)
            self._client.update_model_version(self.name, version, description=_shortened(card))

    def set_alias(self, version: str, alias: Alias) -> None:
        """Point an alias at a version.

        Raises:
            InvalidInput: There is no such alias.
            NotFound: There is no such version.
        """
        if alias not in ALIASES:
            raise InvalidInput(f"There is no alias {alias}.", f"Aliases: {', '.join(ALIASES)}.")
        self._get(version)
        self._client.set_registered_model_alias(self.name, alias, version)

    def drop_alias(self, alias: Alias) -> None:
        """Point an alias at nothing."""
        self._client.delete_registered_model_alias(self.name, alias)

    def make_champion(self, version: str, before: str | None) -> None:
        """Move the aliases to a version that has answered its golden queries at the endpoint.

        `champion` goes to `version`, `previous` to what was champion, `challenger` away if it was this version. Done a second
        time, it changes nothing.

        Args:
            version: The version that serves.
            before: The version that was champion.
        """
        with self._alone():
            if before is not None and before != version and self.has(before):
                self.set_alias(before, "previous")
            self.set_alias(version, "champion")
            if self.alias("challenger") == version:
                self.drop_alias("challenger")

    def alias(self, alias: Alias) -> str | None:
        """The version an alias points at, if it does."""
        return self._aliases().get(alias)

    def versions(self) -> list[ModelVersion]:
        """Every version, newest first."""
        aliases = self._aliases()
        found = self._client.search_model_versions(f"name = '{self.name}'", max_results=1000)
        return sorted((self._typed(each, aliases) for each in found), key=lambda each: -int(each.version))

    def version(self, version: str) -> ModelVersion:
        """One version.

        Raises:
            NotFound: There is no such version.
        """
        return self._typed(self._get(version), self._aliases())

    def has(self, version: str) -> bool:
        """Whether there is such a version."""
        with contextlib.suppress(NotFound):
            return bool(self._get(version))
        return False

    def champion(self) -> ModelVersion | None:
        """The version with the alias `champion`."""
        version = self.alias("champion")
        return self.version(version) if version is not None else None

    def find(self, release_id: str) -> str | None:
        """The version that holds a release."""
        found = self._client.search_model_versions(f"name = '{self.name}' and tags.release = '{release_id}'", max_results=1)
        return str(found[0].version) if found else None

    def data_name(self, version: ModelVersion) -> str:
        """The data set that a version was made from; read from its release where it was not recorded; empty if unreadable."""
        if version.data_name:
            return version.data_name
        with contextlib.suppress(Exception), scratch_folder("manifest") as scratch:  # whatever hides it, it is not known
            return open_release(self.fetch(version.version, scratch / "release")).pin.path
        return ""

    def fetch(self, version: str, out: Path) -> Path:
        """Copy a version's release to `out`, whole or not at all, and verify it.

        Raises:
            NotFound: There is no such version.
            InvalidInput: What is stored was changed.
        """
        from mlflow.artifacts import download_artifacts

        found = self._get(version)
        with scratch_folder("fetch") as scratch:
            model = Path(download_artifacts(artifact_uri=found.source, dst_path=str(scratch), tracking_uri=self._uri))
            stored = open_release(release_in(model))
            if stored.id != found.tags.get("release"):
                raise InvalidInput(f"What is stored as {self.name} {version} is another release than was registered.")
            with atomic_folder(out) as partial:
                shutil.copytree(stored.folder, partial, dirs_exist_ok=True)
        open_release(out)
        return out

    def remove_halves(self) -> int:
        """Remove the stored releases whose registration was cut short; returns their number.

        Only in a SQLite store: there whoever registers holds the lock, so what is not ended is nobody's.
        """
        if sqlite_file(self._uri) is None:
            return 0
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with self._alone():
            experiment, removed = experiment_id(self._client, self._uri, RELEASES, self._root), 0
            for run in self._client.search_runs([experiment], "attributes.status = 'RUNNING'"):
                if self._client.search_model_versions(f"run_id = '{run.info.run_id}'", max_results=1):
                    self._client.set_terminated(run.info.run_id)
                    continue
                get_artifact_repository(run.info.artifact_uri).delete_artifacts()  # type: ignore[no-untyped-call]
                self._client.delete_run(run.info.run_id)
                removed += 1
        return removed

    def _register(self, release: Release, evidence: Mapping[str, str | float], run_id: str | None, card: str) -> str:
        from mlflow.exceptions import MlflowException

        own = self._client.create_run(
            experiment_id(self._client, self._uri, RELEASES, self._root),
            run_name=f"release {release.id}",
            tags={"release": release.id},
        )
        with scratch_folder("register") as scratch:
            save_model(release, scratch / _MODEL)
            self._client.log_artifacts(own.info.run_id, str(scratch / _MODEL), _MODEL)
        if card:
            self._client.log_text(own.info.run_id, card, _CARD)
        try:
            self._client.get_registered_model(self.name)
        except MlflowException:
            self._client.create_registered_model(self.name)
        made = self._client.create_model_version(
            self.name,
            source=f"{own.info.artifact_uri}/{_MODEL}",
            run_id=own.info.run_id,
            tags=_tags(release, evidence, run_id or own.info.run_id),
            description=_shortened(card),
            await_creation_for=_PATIENCE_S,
        )
        self._client.set_terminated(own.info.run_id)  # last: what is not ended is not whole
        return str(made.version)

    def _get(self, version: str) -> "Row":
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_model_version(self.name, version)
        except (MlflowException, ValueError) as error:
            raise NotFound(f"There is no version {version} of {self.name}.") from error

    def _aliases(self) -> dict[str, str]:
        from mlflow.exceptions import MlflowException

        try:
            found = self._client.get_registered_model(self.name).aliases
        except MlflowException:
            return {}
        return {str(alias): str(version) for alias, version in found.items()}

    def _typed(self, row: "Row", aliases: Mapping[str, str]) -> ModelVersion:
        version, tags = str(row.version), dict(row.tags)
        texts = {name: tags.pop(name, "") for name in _TEXTS}
        return ModelVersion(
            model=self.name,
            version=version,
            created=row.creation_timestamp,
            aliases=tuple(alias for alias, at in aliases.items() if at == version),
            figures=_figures(tags),
            **texts,
        )

    def _alone(self) -> Any:
        """One writer at a time on this machine; a server's own transactions are all there is between machines."""
        file = sqlite_file(self._uri)
        lock = file.with_name("registry.lock") if file else Path(tempfile.gettempdir()) / f"glocal-registry-{self.name}.lock"
        return hold(lock, wait_s=_WAIT_S, busy="Another process is changing the registry.")


def _shortened(card: str) -> str:
    """As many whole lines of a card as a description holds, and where the rest is."""
    if len(card) <= _DESCRIPTION:
        return card
    rest = f"\n\nThe whole card is {_CARD} among the artifacts of the version's source run."
    return card[: card.rfind("\n", 0, _DESCRIPTION - len(rest))].rstrip() + rest


def _tags(release: Release, evidence: Mapping[str, str | float], run_id: str) -> dict[str, str]:
    figures = {name: f"{value:.6g}" if isinstance(value, float) else str(value) for name, value in evidence.items()}
    return {
        **figures,
        "release": release.id,
        "embedding_space_id": release.embedding_space_id,
        "data_name": release.pin.path,
        "data_md5": release.pin.md5,
        "data_rev": release.pin.rev,
        "code_revision": release.manifest.code_revision,
        "run_id": run_id,
    }


def _figures(tags: Mapping[str, str]) -> dict[str, float]:
    """Those of the evidence that are numbers."""
    found = {}
    for name, value in tags.items():
        with contextlib.suppress(ValueError):
            if isfinite(number := float(value)):
                found[name] = number
    return found


def champions(tracking_uri: str) -> dict[str, str]:
    """The champion of every registered model that holds releases, by the model's name."""
    client, found = open_client(tracking_uri), {}
    for model in client.search_registered_models(max_results=1000):
        version = model.aliases.get("champion")
        if version is not None and "release" in client.get_model_version(model.name, version).tags:
            found[str(model.name)] = str(version)
    return found
