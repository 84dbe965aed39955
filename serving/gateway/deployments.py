"""The records of what serves and of what is tried beside it, as the gateway reads them."""

import logging
from collections.abc import Mapping
from pathlib import Path

from model.errors import GlocalError, Unavailable
from model.files import Watched
from model.home import ServeFolder
from model.schemas.calibration import Reference
from serving.archive import stored_reference
from serving.backends.port import Served
from serving.gateway.trial import Challenger
from serving.rollout.challengers import read_challengers
from serving.rollout.deployed import Deployed, read_deployed

_log = logging.getLogger("glocal.gateway")


class Deployments:
    """The versions that serve, by name of the model. Where the record is lost or damaged, those known before serve on.

    Args:
        folder: Folder of the endpoint's files.
    """

    def __init__(self, folder: ServeFolder) -> None:
        self._folder = folder
        self._watched = Watched(folder.deployed, self._read)
        self._known: Mapping[str, Served] = {}
        self._challengers = Watched(folder.challengers, _read_challengers)

    def served(self) -> Mapping[str, Served]:
        """The versions that serve now.

        Raises:
            Unavailable: The record is damaged, and was never read before.
        """
        try:
            self._known = self._watched.value() or self._known
        except (GlocalError, OSError) as error:
            _log.error("%s", error)
            raise Unavailable("What serves is not known now.", "The gateway's log says why.") from error
        return self._known

    def challengers(self) -> Mapping[str, Challenger]:
        """The versions that are tried now, by name of the model."""
        return self._challengers.value()

    def _read(self, file: Path) -> Mapping[str, Served]:
        try:
            entries = read_deployed(file)
        except (GlocalError, OSError) as error:
            if not self._known:
                raise
            _log.warning("%s What served before serves on.", error)
            return self._known
        return {
            name: _served(name, entry, stored_reference(self._folder.store / entry.archive)) for name, entry in entries.items()
        }


def _read_challengers(file: Path) -> Mapping[str, Challenger]:
    return {
        name: Challenger(served=_served(name, entry), challenge=entry.challenge) for name, entry in read_challengers(file).items()
    }


def _served(name: str, entry: Deployed, reference: Reference | None = None) -> Served:
    return Served(name, entry.version, entry.release, entry.embedding_space_id, entry.workers, reference)
