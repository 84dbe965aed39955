"""The version that served before, loaded ahead of the decision that it is to serve again: its workers take seconds to start.

Only a rollback that nobody is asked about loads ahead, while it still reads the registry. The archive is the one that
deployed.json names, checked as after a restart. It is put to use by `switch_over` alone, like any other; a version that does not
come to serve is unloaded at the end, and if this process is killed, by the next reconciliation.
"""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from model.errors import GlocalError, NotFound
from model.home import Home
from serving import server
from serving.archive import is_wrapped, stored_manifest, verify_archive
from serving.rollout.deployed import read_deployed, record_of
from serving.rollout.endpoint import Begun, Endpoint, begin, connect, deploying


@contextmanager
def previous_ahead(home: Home, name: str) -> Iterator[Endpoint | None]:
    """Load the version that served before, for the duration of the block, in which no other deployment takes place.

    Args:
        home: GLOCAL_HOME.
        name: Name of the served model; empty: the only one.

    Yields:
        The endpoint, whose lock of deployments is held; None if nothing could be loaded ahead, and no lock is held.
    """
    with contextlib.ExitStack() as stack:
        endpoint = None
        with contextlib.suppress(GlocalError):  # what is wrong is said by the rollback
            endpoint = stack.enter_context(_loading(home, name))
        yield endpoint


@contextmanager
def _loading(home: Home, name: str) -> Iterator[Endpoint]:
    backend = server.answering(home)
    if backend is None:
        raise NotFound("Nothing serves.")
    with deploying(home.serve, wait_s=0), connect(home.serve, backend) as endpoint:
        begun = _previous(endpoint, name)
        try:
            begin(endpoint, begun.name, begun.entry)
            yield replace(endpoint, begun=begun)
        finally:
            serving = endpoint.deployed(begun.name)
            if serving is None or serving.version != begun.entry.version:
                with contextlib.suppress(GlocalError):
                    endpoint.server.unload(begun.name, begun.entry.version)


def _previous(endpoint: Endpoint, name: str) -> Begun:
    """The version before the one that serves, from its archive in the store.

    Raises:
        NotFound: There is none, it is loaded already, or its archive is of another revision of the server's part.
        InvalidInput: The archive was changed.
    """
    names = [name] if name else list(read_deployed(endpoint.folder.deployed))
    serving = endpoint.serving(names[0]) if len(names) == 1 else None
    if serving is None or serving.previous is None:
        raise NotFound("No version served before.")
    version = serving.previous.removeprefix(f"{names[0]}-").removesuffix(".mar")
    archive = verify_archive(endpoint.folder.store / serving.previous)
    if version in endpoint.loaded(names[0]) or not is_wrapped(archive, endpoint.backend.wrapping(names[0], version)):
        raise NotFound(f"The archive of version {version} is not loaded ahead.")
    return Begun(names[0], record_of(archive, stored_manifest(archive.path), version, serving.workers))
