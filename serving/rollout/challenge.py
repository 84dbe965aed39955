"""Challenges at the server: a version comes up beside the one that serves, is brought back after a restart, and is removed.

Callers hold the lock of deployments. The gateway follows `challengers.json`: a challenger is put on record once it has answered
its golden queries, and is forgotten before it is removed.
"""

from model.errors import Conflict, GlocalError, NotFound
from model.home import ServeFolder
from model.release import Release
from model.schemas.challenge import Challenge
from model.schemas.status import Difference
from serving.rollout.challengers import DeployedChallenger, read_challengers, write_challenger
from serving.rollout.endpoint import Endpoint, bring_up, checked, pack
from serving.rollout.leftovers import discard_archive
from serving.rollout.switch import retire, undo


def begin_challenge(
    endpoint: Endpoint, release: Release, version: str, challenge: Challenge, *, name: str, workers: int
) -> DeployedChallenger:
    """Bring a version up beside the one that serves, replay its golden queries, and put it on record as the challenger.

    A challenger that is up already only gets new terms. Another challenger of the model is ended first.

    Raises:
        NotFound: No version serves under this name.
        Conflict: This version serves.
        GlocalError: The version cannot be loaded or does not verify. It is removed.
    """
    file, serving = endpoint.folder.challengers, endpoint.serving(name)
    if serving is None:
        raise NotFound(f"No version of {name} serves.", "Deploy one first: glocal run DIR.")
    if serving.version == version:
        raise Conflict(f"Version {version} of {name} serves already.", "A challenger is another version.")
    known = read_challengers(file).get(name)
    if known is not None and (known.version, known.release, known.workers) == (version, release.id, workers):
        entry = known.model_copy(update={"challenge": challenge})
        bring_up(endpoint, name, entry)
        write_challenger(file, name, entry)
        return entry
    end_challenge(endpoint, name)
    packed = pack(endpoint, release, version, name=name, workers=workers)
    entry = DeployedChallenger(**packed.model_dump(), challenge=challenge)
    try:
        bring_up(endpoint, name, entry)
        endpoint.replay(release, name, version)
        write_challenger(file, name, entry)
    except BaseException:
        if read_challengers(file).get(name) != entry:
            undo(endpoint, name, entry)
        raise
    return entry


def end_challenge(endpoint: Endpoint, name: str) -> DeployedChallenger | None:
    """Forget the challenger of a model, let it answer what it was asked, and remove it; returns it, None if there is none."""
    known = read_challengers(endpoint.folder.challengers).get(name)
    if known is not None:
        write_challenger(endpoint.folder.challengers, name, None)
        retire(endpoint, name, known)
    return known


def forget_challenge(folder: ServeFolder, name: str) -> DeployedChallenger | None:
    """`end_challenge` while no server runs."""
    known = read_challengers(folder.challengers).get(name)
    if known is not None:
        write_challenger(folder.challengers, name, None)
        discard_archive(folder, known.archive)
    return known


def restore_challengers(endpoint: Endpoint) -> list[Difference]:
    """Bring back the challengers on record. One that cannot come back ends; one whose champion does not serve waits."""
    differences = []
    for name, entry in read_challengers(endpoint.folder.challengers).items():
        if endpoint.serving(name) is None:
            continue
        try:
            is_loaded = entry.version in endpoint.loaded(name)
            current = entry if is_loaded else checked(endpoint, name, entry)
            bring_up(endpoint, name, current)
            if current != entry:
                write_challenger(endpoint.folder.challengers, name, current)
        except GlocalError as error:
            write_challenger(endpoint.folder.challengers, name, None)
            undo(endpoint, name, entry)
            failed = f"The challenger, version {entry.version}, cannot be brought back: {error}"
            differences.append(Difference(model=name, found=failed, done="Its challenge is ended."))
    return differences
