"""The registry of releases: versions with evidence, aliases, and the ledger of promotions. Only this file knows MLflow's."""

import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from model.errors import GlocalError, InvalidInput, NotFound
from model.files import atomic_folder
from model.locks import hold
from serving.registry.runs import experiment_id, open_client, sqlite_file

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from model.release import Release

Alias = Literal["challenger", "champion", "previous"]
Outcome = Literal["promoted", "rolled back", "failed"]
ALIASES: tuple[Alias, ...] = ("challenger", "champion", "previous")
RELEASES = "glocal-releases"
PROMOTIONS = "glocal-promotions"
_MODEL = "model"
_CARD = "model_card.md"
_DESCRIPTION = 5000
"""Characters that MLflow's column for a description holds."""
_REQUIREMENTS = ("torch", "torchvision", "timm", "faiss-cpu", "safetensors", "numpy", "mlflow")
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
        from model.release import open_release

        opened = open_release(release)
        with self._alone():
            known = self._find(opened.id)
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

    def alias(self, alias: Alias) -> str | None:
        """The version an alias points at, if it does."""
        return self._aliases().get(alias)

    def versions(self) -> list[dict[str, Any]]:
        """Every version, newest first: `version`, `created` (ms), `aliases`, `tags`."""
        aliases = self._aliases()
        found = self._client.search_model_versions(f"name = '{self.name}'", max_results=1000)
        rows = [
            {
                "version": str(each.version),
                "created": each.creation_timestamp,
                "aliases": [alias for alias, version in aliases.items() if version == str(each.version)],
                "tags": dict(each.tags),
            }
            for each in found
        ]
        return sorted(rows, key=lambda row: -int(row["version"]))

    def tags(self, version: str) -> dict[str, str]:
        """The evidence beside a version."""
        return dict(self._get(version).tags)

    def fetch(self, version: str, out: Path) -> Path:
        """Copy a version's release to `out`, whole or not at all, and verify it.

        Raises:
            NotFound: There is no such version.
            InvalidInput: What is stored was changed.
        """
        from mlflow.artifacts import download_artifacts

        from model.release import open_release

        found = self._get(version)
        with tempfile.TemporaryDirectory(prefix="glocal-fetch-") as scratch:
            model = Path(download_artifacts(artifact_uri=found.source, dst_path=scratch, tracking_uri=self._uri))
            stored = open_release(_release_in(model))
            if stored.id != found.tags.get("release"):
                raise InvalidInput(f"What is stored as {self.name} {version} is another release than was registered.")
            with atomic_folder(out) as partial:
                shutil.copytree(stored.folder, partial, dirs_exist_ok=True)
        open_release(out)
        return out

    def promote(
        self, version: str, *, by: str, why: str, outcome: Literal["promoted", "rolled back", "failed"] = "promoted"
    ) -> str:
        """Record a promotion, rollback or failed deployment in the ledger and, unless it failed, move the aliases.

        `champion` goes to `version`, `previous` to what was champion, `challenger` away if it was this version. To be called
        after the release has answered its golden queries at the endpoint, or has not.

        Args:
            version: The version that was deployed, or could not be.
            by: Who.
            why: The reason given, or what failed.
            outcome: How it ended.

        Returns:
            The id of the ledger's run.

        Raises:
            NotFound: There is no such version.
        """
        found = self._get(version)
        with self._alone():
            before = self.alias("champion")
            entry = {"by": by, "why": why, "from": before or "", "to": version, "release": found.tags.get("release", "")}
            experiment = experiment_id(self._client, self._uri, PROMOTIONS, self._root)
            tags = {**entry, "model": self.name, "outcome": "begun"}
            run = self._client.create_run(experiment, run_name=f"{outcome} {version}", tags=tags)
            if outcome != "failed":
                self._move(version, before)
            self._client.set_tag(run.info.run_id, "outcome", outcome)
            self._client.set_terminated(run.info.run_id, "FAILED" if outcome == "failed" else "FINISHED")
        return str(run.info.run_id)

    def promotions(self, limit: int = 100) -> list[dict[str, Any]]:
        """The ledger, newest first: `when` (ms), `by`, `why`, `from`, `to`, `outcome`, `release`. 'begun': was cut short."""
        experiment = experiment_id(self._client, self._uri, PROMOTIONS, self._root)
        runs = self._client.search_runs(
            [experiment], f"tags.model = '{self.name}'", max_results=limit, order_by=["attributes.start_time DESC"]
        )
        keys = ("by", "why", "from", "to", "outcome", "release")
        return [{"when": run.info.start_time, **{key: run.data.tags.get(key, "") for key in keys}} for run in runs]

    def _move(self, version: str, before: str | None) -> None:
        if before is not None and before != version:
            self.set_alias(before, "previous")
        self.set_alias(version, "champion")
        if self.alias("challenger") == version:
            self._client.delete_registered_model_alias(self.name, "challenger")

    def _register(self, release: "Release", evidence: Mapping[str, str | float], run_id: str | None, card: str) -> str:
        from mlflow.exceptions import MlflowException

        own = self._client.create_run(
            experiment_id(self._client, self._uri, RELEASES, self._root),
            run_name=f"release {release.id}",
            tags={"release": release.id},
        )
        with tempfile.TemporaryDirectory(prefix="glocal-register-") as scratch:
            _save_model(release, Path(scratch) / _MODEL)
            self._client.log_artifacts(own.info.run_id, str(Path(scratch) / _MODEL), _MODEL)
        if card:
            self._client.log_text(own.info.run_id, card, _CARD)
        self._client.set_terminated(own.info.run_id)
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
        return str(made.version)

    def _find(self, release_id: str) -> str | None:
        found = self._client.search_model_versions(f"name = '{self.name}' and tags.release = '{release_id}'", max_results=1)
        return str(found[0].version) if found else None

    def _get(self, version: str) -> "ModelVersion":
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

    def _alone(self) -> Any:
        """One writer at a time on this machine; a server's own transactions are all there is between machines."""
        file = sqlite_file(self._uri)
        lock = file.with_name("registry.lock") if file else Path(tempfile.gettempdir()) / f"glocal-registry-{self.name}.lock"
        return hold(lock, wait_s=_WAIT_S, busy="Another process is changing the registry.")


def _save_model(release: "Release", out: Path) -> None:
    """A folder that MLflow can load: the release, and the code that opens it. Nothing is pickled, nothing is inferred."""
    from mlflow.pyfunc import save_model

    save_model(  # the signature follows from the types of `ReleaseModel.predict`
        str(out),
        python_model=str(Path(__file__).with_name("pyfunc.py")),
        artifacts={"release": str(release.folder.resolve())},
        pip_requirements=[f"{name}=={installed(name)}" for name in _REQUIREMENTS],
    )


def _shortened(card: str) -> str:
    """As many whole lines of a card as a description holds, and where the rest is."""
    if len(card) <= _DESCRIPTION:
        return card
    rest = f"\n\nThe whole card is {_CARD} among the artifacts of the version's source run."
    return card[: card.rfind("\n", 0, _DESCRIPTION - len(rest))].rstrip() + rest


def _release_in(model: Path) -> Path:
    try:
        flavour = yaml.safe_load((model / "MLmodel").read_text(encoding="utf-8"))["flavors"]["python_function"]
        path: Path = (model / flavour["artifacts"]["release"]["path"]).resolve()
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise GlocalError("The stored model holds no release.", "Register it again.") from error
    if not path.is_relative_to(model.resolve()):
        raise InvalidInput("The stored model names a release outside its folder.")
    return path


def _tags(release: "Release", evidence: Mapping[str, str | float], run_id: str) -> dict[str, str]:
    figures = {name: f"{value:.6g}" if isinstance(value, float) else str(value) for name, value in evidence.items()}
    return {
        **figures,
        "release": release.id,
        "embedding_space_id": release.embedding_space_id,
        "data_md5": release.pin.md5,
        "data_rev": release.pin.rev,
        "code_revision": release.manifest.code_revision,
        "run_id": run_id,
    }
