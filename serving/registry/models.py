"""The registry of releases: versions with evidence, and the alias of the version that serves."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from model.errors import InvalidInput, NotFound
from model.files import remove_whole
from model.locks import hold
from model.release import Release
from model.schemas.approval import ApprovalRule
from model.schemas.model_version import Alias, Interval, ModelVersion
from model.scratch import scratch_folder
from serving.protocol import SIGNATURE
from serving.registry.store import answering, experiment_id, is_new, open_client, quoted, sqlite_file
from serving.registry.version_files import CARD, MODEL, VersionFiles
from serving.registry.version_records import REMOVED, SIGNED, intervals_tag, read_version, version_tags
from serving.signatures import sign_release

ALIASES: tuple[Alias, ...] = get_args(Alias)
RELEASES = "glocal-releases"
_DESCRIPTION = 5000
"""Maximum characters that MLflow keeps of a description."""
_WAIT_S = 300.0
_PATIENCE_S = 60
_LISTED = 10_000
"""Maximum versions of a model that are listed."""


class Registry:
    """The versions of one registered model.

    Attributes:
        tracking_uri: `sqlite:///...` or an MLflow server.
        name: Name of the registered model.
    """

    def __init__(self, tracking_uri: str, name: str = "glocal") -> None:
        if not name:
            raise InvalidInput("A registered model needs a name.", "Set serve.name, or give the data a name.")
        self.name = name
        self.tracking_uri = tracking_uri
        self._client = open_client(tracking_uri)
        self.files = VersionFiles(self._client, tracking_uri, name)

    def register(
        self,
        release: Release,
        evidence: Mapping[str, str | float],
        run_id: str | None = None,
        *,
        card: str = "",
        intervals: Mapping[str, Interval] = MappingProxyType({}),
        documents: Mapping[str, Path] = MappingProxyType({}),
        approval: ApprovalRule | None = None,
        starter: str = "",
    ) -> str:
        """Keep a release as a new model version, signed if a key is set; one that is registered already keeps the version it has.

        Args:
            release: The release.
            evidence: Figures of the report and other texts, kept as tags.
            run_id: The run that made the release.
            card: The model card in Markdown. It becomes the version's description, as far as MLflow's field is long; the whole
                card is kept beside the release.
            intervals: Intervals of the figures, by name.
            documents: Folders that are kept with the version, by name: the report, the decision.
            approval: Whose word the version needs before it serves; None: nobody's.
            starter: Who started the run.

        Returns:
            The version.

        Raises:
            InvalidInput: The signing key cannot be used.
        """
        with self._alone():
            known = self.find(release.id)
            said = {"starter": starter, "approval": approval.model_dump_json() if approval else "", **intervals_tag(intervals)}
            if known is None:
                return self._register(release, {**evidence, **said}, run_id, card, documents)
            if REMOVED in (row := self.files.row(known)).tags:
                signature = sign_release(release)
                self.files.store(release, signature, str(row.run_id))
                self._note_signature(known, signature)
                self._client.delete_model_version_tag(self.name, known, REMOVED)
            return known

    def replace_card(self, version: str, card: str) -> None:
        """Replace the model card of a version.

        Raises:
            NotFound: There is no such version.
        """
        stored = self.files.row(version)
        with self._alone():
            self._client.log_text(str(stored.run_id), card, CARD)
            self._client.update_model_version(self.name, version, description=_shortened(card))

    def sign(self, version: str) -> None:
        """Sign the release of a version, in place of the signature that it may have.

        Raises:
            NotFound: There is no such version, or its files are gone.
            InvalidInput: The stored release was changed, no signing key is set, or it cannot be used.
        """
        with scratch_folder("sign") as scratch:
            signature = sign_release(self.files.fetch(version, scratch / "release"))
        if not signature:
            raise InvalidInput(
                "No key to sign with is set.", "Set GLOCAL_SIGNING_KEY to the file of a private key; docs/operations.md."
            )
        with self._alone():
            self._client.log_text(str(self.files.row(version).run_id), signature, f"{MODEL}/{SIGNATURE}")
            self._note_signature(version, signature)

    def set_alias(self, version: str, alias: Alias) -> None:
        """Point an alias at a version.

        Raises:
            InvalidInput: There is no such alias.
            NotFound: There is no such version.
        """
        if alias not in ALIASES:
            raise InvalidInput(f"There is no alias {alias}.", f"Aliases: {', '.join(ALIASES)}.")
        self.files.row(version)
        self._client.set_registered_model_alias(self.name, alias, version)

    def make_challenger(self, version: str) -> bool:
        """Point `challenger` at a version, unless it is the champion; returns whether it is the challenger."""
        if self.alias("champion") == version:
            return False
        self.set_alias(version, "challenger")
        return True

    def drop_alias(self, alias: Alias) -> None:
        """Point an alias at nothing."""
        self._client.delete_registered_model_alias(self.name, alias)

    def make_champion(self, version: str, before: str | None) -> None:
        """Move the aliases to a version that has answered its golden queries at the endpoint.

        `champion` goes to `version`, `previous` to the version that was champion; `challenger` is dropped if it was this version.
        `previous` is dropped if it was this version and the version that was champion is not there any more. A second call
        changes nothing.

        Args:
            version: The version that serves.
            before: The version that was champion.
        """
        with self._alone():
            if before is not None and before != version and self.release_of(before) is not None:
                self.set_alias(before, "previous")
            elif self.alias("previous") == version:
                self.drop_alias("previous")
            self.set_alias(version, "champion")
            if self.alias("challenger") == version:
                self.drop_alias("challenger")

    def alias(self, alias: Alias) -> str | None:
        """The version that an alias points at; None if it points at none."""
        return self._aliases().get(alias)

    def aliases(self) -> dict[str, str] | None:
        """The version that each alias points at; None if there is no such model.

        Raises:
            Unavailable: The store does not answer.
        """
        try:
            with answering(self.tracking_uri, missing=f"There is no model {self.name}."):
                aliases = self._client.get_registered_model(self.name).aliases
        except NotFound:
            return None
        return {str(alias): str(version) for alias, version in aliases.items()}

    def version(self, version: str, aliases: Mapping[str, str] | None = None) -> ModelVersion:
        """One version.

        Args:
            version: Its number.
            aliases: What `aliases` returned, of a caller that has asked.

        Raises:
            NotFound: There is no such version.
        """
        return read_version(self.files.row(version), self._aliases() if aliases is None else aliases)

    def resolve(self, version: str) -> ModelVersion:
        """The version with this number, or with this alias.

        Raises:
            NotFound: There is no such version.
        """
        aliases = self._aliases()
        if version in ALIASES and version not in aliases:
            raise NotFound(f"No version of {self.name} is {version}.", f"Its versions: glocal models {self.name}.")
        return read_version(self.files.row(aliases.get(version, version)), aliases)

    def versions(
        self, *, most: int = _LISTED, made_from: str = "", aliases: Mapping[str, str] | None = None
    ) -> list[ModelVersion]:
        """The versions that hold releases, newest first.

        Args:
            most: Maximum versions, the newest.
            made_from: Number of a version: those alone whose gallery was made from that of it; empty: all.
            aliases: What `aliases` returned, of a caller that has asked.
        """
        given = f"name = {quoted(self.name)}" + (f" and tags.base_version = {quoted(made_from)}" if made_from else "")
        rows = self._client.search_model_versions(given, max_results=most, order_by=["version_number DESC"])
        known = self._aliases() if aliases is None else aliases
        return [read_version(row, known) for row in rows if "release" in row.tags]

    def release_of(self, version: str) -> str | None:
        """Id of the release of a version; None if there is no such version."""
        with contextlib.suppress(NotFound):
            return str(self.files.row(version).tags.get("release", ""))
        return None

    def champion(self) -> ModelVersion | None:
        """The version with the alias `champion`."""
        version = self.alias("champion")
        return self.version(version) if version is not None else None

    def find(self, release_id: str) -> str | None:
        """The version that holds a release."""
        versions = self._client.search_model_versions(f"name = '{self.name}' and tags.release = '{release_id}'", max_results=1)
        return str(versions[0].version) if versions else None

    def data_name(self, version: ModelVersion) -> str:
        """The data set that a version was made from; read from its release if it was not recorded; empty if unreadable."""
        if version.data_name:
            return version.data_name
        with contextlib.suppress(Exception):  # it is unknown then, whatever the error
            return self.files.manifest(version.version).data.path
        return ""

    def data_of(self, version: ModelVersion) -> str:
        """The data set that a version was made from with the beginning of its revision, `name@1234567`; empty if unknown."""
        name = self.data_name(version)
        return f"{name}@{version.data_rev[:7]}" if name and version.data_rev else name

    def remove_files(self, version: str) -> None:
        """Remove the stored release of a version. Its record, figures and card stay; the same release may be registered again."""
        with self._alone():
            folder = self.files.folder(version)
            if folder is not None:
                self._client.set_model_version_tag(self.name, version, REMOVED, "yes")  # before: a kill leaves it to be removed
                remove_whole(folder)

    def remove_unfinished(self) -> int:
        """Remove the stored releases whose registration was cut short; returns their number.

        Only in SQLite: registration holds the lock, so an unfinished run belongs to a killed process.
        """
        if sqlite_file(self.tracking_uri) is None:
            return 0
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with self._alone():
            experiment, removed = experiment_id(self._client, self.tracking_uri, RELEASES), 0
            for run in self._client.search_runs([experiment], "attributes.status = 'RUNNING'"):
                if self._client.search_model_versions(f"run_id = '{run.info.run_id}'", max_results=1):
                    self._client.set_terminated(run.info.run_id)
                    continue
                get_artifact_repository(run.info.artifact_uri).delete_artifacts()  # type: ignore[no-untyped-call] # it has no types
                self._client.delete_run(run.info.run_id)
                removed += 1
        return removed

    def _register(
        self,
        release: Release,
        evidence: Mapping[str, str | float],
        run_id: str | None,
        card: str,
        documents: Mapping[str, Path],
    ) -> str:
        from mlflow.exceptions import MlflowException

        signature = sign_release(release)  # first: a key that cannot be used leaves nothing behind
        own = self._client.create_run(
            experiment_id(self._client, self.tracking_uri, RELEASES),
            run_name=f"release {release.id}",
            tags={"release": release.id},
        )
        self.files.store(release, signature, own.info.run_id)
        kept = self.files.keep(documents, own.info.run_id)
        evidence = {**evidence, "evidence_sha256": kept, SIGNED: "yes" if signature else "no"}
        if card:
            self._client.log_text(own.info.run_id, card, CARD)
        try:
            self._client.get_registered_model(self.name)
        except MlflowException:
            self._client.create_registered_model(self.name)
        made = self._client.create_model_version(
            self.name,
            source=f"{own.info.artifact_uri}/{MODEL}",
            run_id=own.info.run_id,
            tags=version_tags(release, evidence, run_id or own.info.run_id),
            description=_shortened(card),
            await_creation_for=_PATIENCE_S,
        )
        self._client.set_terminated(own.info.run_id)  # last: a run that has not ended is not whole
        return str(made.version)

    def _note_signature(self, version: str, signature: str) -> None:
        self._client.set_model_version_tag(self.name, version, SIGNED, "yes" if signature else "no")

    def _aliases(self) -> dict[str, str]:
        return self.aliases() or {}

    def _alone(self) -> Any:
        """Lock for one writer at a time on this machine; between machines only a server's transactions protect."""
        file = sqlite_file(self.tracking_uri)
        lock = file.with_name("registry.lock") if file else Path(tempfile.gettempdir()) / f"glocal-registry-{self.name}.lock"
        return hold(lock, wait_s=_WAIT_S, busy="Another process is changing the registry.")


def _shortened(card: str) -> str:
    """The first lines of a card, as many as a description holds, and where the rest is."""
    if len(card) <= _DESCRIPTION:
        return card
    rest = f"\n\nThe whole card is {CARD} among the artifacts of the version's source run."
    return card[: card.rfind("\n", 0, _DESCRIPTION - len(rest))].rstrip() + rest


def registered_models(tracking_uri: str) -> list[str]:
    """The names of all registered models, in order."""
    return sorted(str(model.name) for model in open_client(tracking_uri).search_registered_models(max_results=1000))


def read_catalogue(tracking_uri: str) -> dict[str, list[ModelVersion]]:
    """All registered versions that hold releases, newest first, by the name of their model; none if there is no database yet.

    The store is asked as often for one version as for many.
    """
    if is_new(tracking_uri):
        return {}
    client = open_client(tracking_uri)
    models = client.search_registered_models(max_results=1000, order_by=["name ASC"])
    found: dict[str, list[ModelVersion]] = {str(model.name): [] for model in models}
    aliases = {str(model.name): {str(alias): str(at) for alias, at in model.aliases.items()} for model in models}
    for row in client.search_model_versions(max_results=_LISTED, order_by=["version_number DESC"]):
        if row.name in found and "release" in row.tags:
            found[row.name].append(read_version(row, aliases[row.name]))
    return found


def registered_versions(tracking_uri: str) -> Iterator[tuple[Registry, ModelVersion]]:
    """Every registered version that holds a release, with its registry; none if there is no database yet."""
    if not is_new(tracking_uri):
        for name in registered_models(tracking_uri):
            registry = Registry(tracking_uri, name)
            for version in registry.versions():
                yield registry, version


def every_version(tracking_uri: str) -> list[ModelVersion]:
    """Every registered version that holds a release, of all models, the newest first; see `read_catalogue`."""
    found = [version for versions in read_catalogue(tracking_uri).values() for version in versions]
    return sorted(found, key=lambda each: -each.created)


def choose_model(tracking_uri: str, name: str) -> str:
    """The model that is meant: the named one, else the only one.

    Raises:
        InvalidInput: None is named, and there is none or several.
    """
    return name or only_model(registered_models(tracking_uri))


def only_model(known: Sequence[str]) -> str:
    """The only registered model.

    Raises:
        InvalidInput: There is none, or several.
    """
    if len(known) != 1:
        raise InvalidInput(
            "Several models are registered." if known else "No model is registered.",
            f"Name one with --name: {', '.join(known)}." if known else "Train one: glocal run DIR.",
        )
    return known[0]


def champions(tracking_uri: str) -> dict[str, str]:
    """The champion of every registered model that holds releases, by the model's name."""
    client, known = open_client(tracking_uri), {}
    for model in client.search_registered_models(max_results=1000):
        version = model.aliases.get("champion")
        if version is not None and "release" in client.get_model_version(model.name, version).tags:
            known[str(model.name)] = str(version)
    return known
