"""Challenges: a registered version is tried on the traffic of the one that serves, as a shadow or as a canary.

The terms are in `model.schemas.challenge`; the gateway follows them (`serving.gateway.challenge`) and aborts a challenge on
errors or latency. No alias moves, and the ledger of promotions has no entry: a challenger is not put to use.
"""

from model.claim import check_folders, claim
from model.home import Home
from model.schemas.challenge import Challenge, ServedChallenger
from serving import server
from serving.deployment import fetched_release, locked_endpoint
from serving.other_data import refuse_other_data
from serving.reconcile import log_differences, reconcile_endpoint
from serving.registry.models import Registry
from serving.registry.store import refuse_lost_records
from serving.rollout.challenge import begin_challenge, end_challenge, forget_challenge
from serving.rollout.endpoint import connect, deploying


def start_challenge(
    version: str, challenge: Challenge, *, home: Home, tracking_uri: str, name: str, workers: int = 1
) -> ServedChallenger:
    """Serve a registered version beside the one that serves. A model has one challenger: another one is ended first.

    Args:
        version: The version.
        challenge: The terms.
        home: GLOCAL_HOME, whose endpoint serves; it is started if it does not run.
        tracking_uri: Address of the registry.
        name: Name of the registered and served model.
        workers: Number of worker processes.

    Raises:
        NotFound: There is no such version, or no version serves under this name.
        Conflict: This version serves, it was made from another data set, or another deployment does not finish.
        StorageFailed: The registry's database is lost or damaged.
        GlocalError: The version cannot be loaded or does not verify; nothing of it remains.
    """
    claim(home)
    refuse_lost_records(tracking_uri, home)
    registry = Registry(tracking_uri, name)
    with (
        fetched_release(registry, version) as release,
        locked_endpoint(home) as endpoint,
    ):
        log_differences(reconcile_endpoint(home, tracking_uri, endpoint))
        refuse_other_data(registry, release.pin, allowed=False)
        begun = begin_challenge(endpoint, release, version, challenge, name=name, workers=workers)
    return ServedChallenger(version=begun.version, challenge=begun.challenge, ready=True)


def stop_challenge(home: Home, name: str) -> str | None:
    """End the challenge of a model, whether the endpoint runs or not; returns the challenger's version, None if there was none.

    Raises:
        Conflict: Another deployment does not finish.
    """
    check_folders(home, home.serve.root)
    if not home.serve.challengers.exists():
        return None
    with deploying(home.serve):
        running = server.answering(home)
        if running is None:
            ended = forget_challenge(home.serve, name)
        else:
            with connect(home.serve, running) as endpoint:
                ended = end_challenge(endpoint, name)
    return ended.version if ended else None
