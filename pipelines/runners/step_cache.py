"""KFP's local cache of finished steps, with a seal on every entry. An entry that was damaged is dropped.

KFP takes an entry for valid if its JSON can be read and its artifacts exist. A truncated checkpoint or a release with a flipped
byte would then fail every later run of the same command. So a seal beside the entry holds the SHA-256 of the entry and of every
artifact that it names. An entry that does not match its seal is dropped when a run asks for it, and the step runs again.
"""

import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from kfp import dsl
from kfp.local import cache
from pydantic import BaseModel, ConfigDict, ValidationError

from model.files import sha256_file, sha256_folder, write_text
from model.schemas.run_event import RunEvent

_COMPONENT = "comp-"
"""Prefix that KFP puts before the name of a step's component."""
_log = logging.getLogger(__name__)


class Seal(BaseModel):
    """The hashes of a finished step's results.

    Attributes:
        entry: SHA-256 of KFP's entry.
        artifacts: SHA-256 of every artifact that lies on this machine, by its path.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    entry: str
    artifacts: dict[str, str]


class StepCache(cache.LocalCache):  # type: ignore[misc]  # KFP has no types
    """KFP's cache, limited to entries with an intact seal.

    Args:
        cache_root: Folder of the entries.
    """

    emit: Callable[[RunEvent], None] = staticmethod(lambda event: None)
    """Called with `cached` for every step that is taken from the cache, and with a warning for every entry that is dropped."""

    def __init__(self, cache_root: str) -> None:
        super().__init__(cache_root)
        self._steps: dict[str, str] = {}

    def compute_key(self, component_name: str, *others: Any, **more: Any) -> str:
        """The key of a step and its inputs. The step of the key is remembered; that of a shard is named with its number."""
        key: str = super().compute_key(component_name, *others, **more)
        shard = (more.get("arguments") or {}).get("shard")
        self._steps[key] = component_name.removeprefix(_COMPONENT) + ("" if shard is None else f"-{int(shard)}")
        return key

    def get(self, key: str) -> dict[str, Any] | None:
        """The outputs of a finished step; None if there are none, or if they were changed since."""
        entry = Path(self._entry_path(key))
        if not entry.exists() and not entry.is_symlink():
            return None
        step = self._steps.get(key, "")
        if damage := self._damage(entry):
            text = f"{damage} The step {step} runs again."
            _log.warning("%s", text)
            self.emit(RunEvent(step=step, event="warning", at=time.time(), text=text))
            for file in (entry, _seal_of(entry)):
                _remove(file)
            return None
        outputs: dict[str, Any] | None = super().get(key)
        if outputs is not None:
            self.emit(RunEvent(step=step, event="cached", at=time.time()))
        return outputs

    def put(self, key: str, outputs: dict[str, Any]) -> None:
        """Keep the outputs of a step. The seal is written last, so an entry without a seal belongs to a killed run."""
        entry = Path(self._entry_path(key))
        artifacts = {path: sha256_folder(Path(path)) for path in _local_artifacts(outputs)}
        super().put(key, outputs)
        write_text(_seal_of(entry), Seal(entry=sha256_file(entry), artifacts=artifacts).model_dump_json())

    @staticmethod
    def _damage(entry: Path) -> str:
        """The damage of an entry in one sentence; empty if its seal is intact."""
        try:
            seal = Seal.model_validate_json(_seal_of(entry).read_bytes())
            if sha256_file(entry) != seal.entry:
                return f"{entry} is damaged."
        except (OSError, ValidationError):
            return f"{entry} cannot be read or has no seal."
        for path, digest in seal.artifacts.items():
            if _digest(Path(path)) != digest:
                return f"The artifact {path} was changed or removed since it was made."
        return ""


class ReadOnlyStepCache(StepCache):
    """The cache as it is, of which nothing is dropped and in which nothing is kept.

    Attributes:
        found: The steps that were found in it, and when each was made, in seconds since 1970.
    """

    found: ClassVar[dict[str, float]] = {}

    def get(self, key: str) -> dict[str, Any] | None:
        """The outputs of a finished step; None if there are none, or if they were changed since."""
        entry = Path(self._entry_path(key))
        if not entry.exists() or self._damage(entry):
            return None
        outputs: dict[str, Any] | None = super(StepCache, self).get(key)  # without its warning and removal
        if outputs is not None:
            self.found[self._steps[key]] = entry.stat().st_mtime
        return outputs

    def put(self, key: str, outputs: dict[str, Any]) -> None:
        """Keep nothing."""


def install(emit: Callable[[RunEvent], None]) -> None:
    """Make KFP's local runner in this process use `StepCache`."""
    StepCache.emit = staticmethod(emit)
    cache.LocalCache = StepCache


def _seal_of(entry: Path) -> Path:
    return entry.with_suffix(".seal")


def _local_artifacts(outputs: Mapping[str, Any]) -> list[str]:
    """The paths of a step's artifacts on this machine; those in an object store are left out."""
    lists = (output if isinstance(output, list) else [output] for output in outputs.values())
    uris = (value.uri for values in lists for value in values if isinstance(value, dsl.Artifact))
    return [uri for uri in uris if uri and "://" not in uri]


def _digest(path: Path) -> str:
    """The SHA-256 of a file or folder; empty if it cannot be read."""
    with contextlib.suppress(OSError):
        return sha256_folder(path) if path.exists() else ""
    return ""


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
