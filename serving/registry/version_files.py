"""What is stored with the versions of a registered model: the release, its signature, the documents it was judged by."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from model.disk import disk_error
from model.errors import InvalidInput, NotFound
from model.files import atomic_folder, sha256_folder, write_text
from model.release import Release, open_release
from model.schemas.release_manifest import RELEASE_MANIFEST, ReleaseManifest
from model.scratch import scratch_folder
from serving.protocol import SIGNATURE
from serving.registry.store import answering, sqlite_file
from serving.registry.stored import release_in, save_model

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as Row

MODEL = "model"
"""Folder of the stored release among the files of the run that keeps a version."""
CARD = "model_card.md"
"""The model card among these files."""
_EVIDENCE = "evidence"
_DIGITS = 18
"""Maximum digits of a version's number, which a database can hold."""


class VersionFiles:
    """The files of the versions of one registered model.

    Args:
        client: The registry's client.
        tracking_uri: Its address.
        name: Name of the registered model.
    """

    def __init__(self, client: "MlflowClient", tracking_uri: str, name: str) -> None:
        self._client, self._uri, self._name = client, tracking_uri, name
        self._rows: dict[str, Row] = {}

    def row(self, version: str) -> "Row":
        """What MLflow has on a version.

        Raises:
            NotFound: There is no such version.
            Unavailable: The store does not answer.
        """
        missing = f"There is no version {version} of {self._name}."
        if not version.isdecimal() or len(version) > _DIGITS:
            raise NotFound(missing)
        with answering(self._uri, missing=missing):
            row = self._rows[version] = self._client.get_model_version(self._name, version)
        return row

    def _stored(self, version: str) -> "Row":
        """As `row`, from MLflow once: where the files lie and which release they are never changes."""
        return self._rows.get(version) or self.row(version)

    def manifest(self, version: str) -> ReleaseManifest:
        """The manifest of a version's release, without a copy of its other files.

        Raises:
            NotFound: There is no such version, or its files are gone.
            InvalidInput: The stored manifest was changed.
        """
        row = self._stored(version)
        with scratch_folder("manifest") as scratch:
            self._copied(row, f"{row.source}/MLmodel", scratch)
            folder = release_in(scratch).relative_to(scratch.resolve())
            stored = ReleaseManifest.load(self._copied(row, f"{row.source}/{folder.as_posix()}/{RELEASE_MANIFEST}", scratch))
        if stored.release_id != row.tags.get("release"):
            raise InvalidInput(f"The manifest that is stored as {self._name} {version} is another one than was registered.")
        return stored

    def fetch(self, version: str, out: Path) -> Release:
        """Copy a version's release to `out`, whole or not at all, and open the copy, with the signature that is stored.

        Raises:
            NotFound: There is no such version, or its files are gone.
            InvalidInput: The stored release was changed.
        """
        row = self._stored(version)
        with scratch_folder("fetch") as scratch:
            model = self._copied(row, str(row.source), scratch)
            stored = self._opened(row, model)
            with atomic_folder(out) as partial:
                shutil.copytree(stored.folder, partial, dirs_exist_ok=True)
            signature = (model / SIGNATURE).read_text(encoding="utf-8") if (model / SIGNATURE).is_file() else ""
        return replace(open_release(out), signature=signature)

    def check(self, version: str) -> None:
        """Compare every file of a version's release with the hash that was registered.

        Raises:
            NotFound: There is no such version, or its files are gone.
            InvalidInput: The stored release was changed.
        """
        if (folder := self.folder(version)) is not None:
            self._opened(self._stored(version), folder)
            return
        with scratch_folder("check") as scratch:
            self.fetch(version, scratch / "release")

    def folder(self, version: str) -> Path | None:
        """The folder in which the release of a version is stored; None if it is not on this machine, or was removed.

        Raises:
            NotFound: There is no such version.
        """
        from mlflow.utils.file_utils import local_file_uri_to_path as path_of

        source, database = self._stored(version).source, sqlite_file(self._uri)
        if database is None:
            return None
        folder = Path(path_of(source)).resolve()  # type: ignore[no-untyped-call] # it has no types
        return folder if folder.is_dir() and folder.is_relative_to(database.parent.resolve()) else None

    def signature(self, version: str) -> str:
        """The signature of a version's release; empty if it has none.

        Raises:
            NotFound: There is no such version, or its files are gone.
        """
        row = self._stored(version)
        stored = f"{MODEL}/{SIGNATURE}"
        if stored not in {each.path for each in self._client.list_artifacts(str(row.run_id), MODEL)}:
            return ""
        with scratch_folder("signature") as scratch:
            return self._copied(row, f"{row.source}/{SIGNATURE}", scratch).read_text(encoding="utf-8")

    def card(self, version: str) -> str:
        """The model card of a version, in Markdown.

        Raises:
            NotFound: There is no such version, or it has none.
        """
        row = self._stored(version)
        with scratch_folder("card") as scratch:
            return self._copied(row, str(row.source).removesuffix(MODEL) + CARD, scratch).read_text(encoding="utf-8")

    def evidence(self, version: str, out: Path) -> Path:
        """Copy the documents that are kept with a version into `out`: a folder for each, by name.

        Raises:
            NotFound: There is no such version, or its files are gone.
        """
        row = self._stored(version)
        return self._copied(row, str(row.source).removesuffix(MODEL) + _EVIDENCE, out)

    def document(self, version: str, name: str, out: Path) -> Path:
        """Copy one file of the documents that are kept with a version, such as `report/report.json`, into a folder.

        Raises:
            NotFound: There is no such version or file.
        """
        row = self._stored(version)
        return self._copied(row, f"{str(row.source).removesuffix(MODEL)}{_EVIDENCE}/{name}", out)

    def evidence_sha256(self, version: str) -> str:
        """SHA-256 of the documents that are kept with a version, as they are now.

        Raises:
            NotFound: There is no such version, or its files are gone.
        """
        with scratch_folder("evidence") as scratch:
            return sha256_folder(self.evidence(version, scratch))

    def store(self, release: Release, signature: str, run_id: str) -> None:
        """Write a release, and its signature if it has one, to the files of the run that keeps it."""
        with scratch_folder("register") as scratch:
            save_model(release, scratch / MODEL)
            if signature:
                write_text(scratch / MODEL / SIGNATURE, signature)
            self._client.log_artifacts(run_id, str(scratch / MODEL), MODEL)

    def keep(self, documents: Mapping[str, Path], run_id: str) -> str:
        """Write folders of documents, by name, to the files of the run that keeps a version; returns their SHA-256, if any."""
        if not documents:
            return ""
        with scratch_folder("register") as scratch:
            kept = scratch / _EVIDENCE
            for name, folder in documents.items():
                shutil.copytree(folder, kept / name)
            self._client.log_artifacts(run_id, str(kept), _EVIDENCE)
            return sha256_folder(kept)

    def _opened(self, row: "Row", model: Path) -> Release:
        """The release in the folder of a stored model, every file compared with its hash.

        Raises:
            InvalidInput: It was changed, or is another one than was registered.
        """
        stored = open_release(release_in(model))
        if stored.id != row.tags.get("release"):
            raise InvalidInput(f"What is stored as {self._name} {row.version} is another release than was registered.")
        return stored

    def _copied(self, row: "Row", source: str, out: Path) -> Path:
        """Copy what is stored with a version at an address into a folder."""
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        try:
            return Path(download_artifacts(artifact_uri=source, dst_path=str(out), tracking_uri=self._uri))
        except (MlflowException, OSError) as error:
            if disk := disk_error(error, out):
                raise disk from error
            gone = f"The files of version {row.version} of {self._name} cannot be read from the registry."
            raise NotFound(gone, "Run the pipeline again: glocal run DIR.") from error
