"""Galleries of registered versions: which one is meant, its entries, and how two of them differ."""

from collections.abc import Iterator
from contextlib import contextmanager

from model.config import ServeConfig
from model.errors import Conflict, InvalidInput, NotFound
from model.gallery_entries import compare_galleries
from model.home import Home
from model.release import Release
from model.schemas.gallery import GalleryBase, GalleryDiff
from serving.deployment import ModelRecords, fetched_release
from serving.registry.models import Registry, champions


def choose_base(tracking_uri: str, name: str = "", version: str = "") -> GalleryBase:
    """The version whose gallery is meant: the champion, or another one of the same embedding space.

    Args:
        tracking_uri: Address of the registry.
        name: Name of the registered model; empty: the only one that has a champion.
        version: The version; empty: the champion.

    Raises:
        InvalidInput: No model is named, and several have a champion.
        NotFound: There is no such version, or no champion.
        Conflict: The version is of another embedding space than the champion.
    """
    served = champions(tracking_uri)
    if not name and len(served) > 1:
        raise InvalidInput("Several models have a champion.", f"Name one with --name: {', '.join(sorted(served))}.")
    name = name or next(iter(served), "")
    champion = served.get(name, "")
    if not (version or champion):
        raise NotFound(f"No version of {name} is champion." if name else "No model has a champion.", "Train one: glocal run DIR.")
    base = GalleryBase(model=name, version=version or champion, champion=champion)
    registry = Registry(tracking_uri, name)
    spaces = {each: registry.version(each).embedding_space_id for each in (base.version, base.replaced)}
    if len(set(spaces.values())) > 1:
        shown = ", ".join(f"version {each} of {space}" for each, space in spaces.items())
        raise Conflict(f"Vectors of two embedding spaces cannot be compared: {shown}.", "Promote that version first.")
    return base


@contextmanager
def opened_release(tracking_uri: str, name: str = "", version: str = "") -> Iterator[tuple[GalleryBase, Release]]:
    """The version that `choose_base` chooses and a copy of its release, for the duration of the block."""
    base = choose_base(tracking_uri, name, version)
    with fetched_release(Registry(tracking_uri, base.model), base.version) as release:
        yield base, release


def compare_versions(tracking_uri: str, name: str, before: str, after: str) -> GalleryDiff:
    """What the gallery of one version holds and that of another one does not.

    Raises:
        NotFound: There is no such version.
    """
    name = name or choose_base(tracking_uri).model
    registry = Registry(tracking_uri, name)
    with fetched_release(registry, before) as one, fetched_release(registry, after) as other:
        return compare_galleries(one, other)


def serve_config(home: Home, tracking_uri: str, model: str) -> ServeConfig:
    """How the next version of a model is served: as the one that serves, by as many workers."""
    deployed = ModelRecords.open(home, tracking_uri, model).deployed
    return ServeConfig(name=model, workers=deployed.workers if deployed else 1)
