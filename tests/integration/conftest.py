"""What several of these tests start from: a home whose server is stopped at the end, and registered releases."""

import pytest

from model.claim import claim
from model.home import Home
from serving import server
from serving.registry.models import Registry
from tests.support.promotions import make_releases, register, to

NAME = "drawn"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = claim(Home.at(tmp_path_factory.mktemp("home")))
    yield home
    server.stop(home)


@pytest.fixture(scope="module")
def registry(home):
    return Registry(home.tracking_uri, NAME)


@pytest.fixture(scope="module")
def releases(tmp_path_factory, home):
    """Two good releases, registered as versions 1 and 2, and one that fails its golden queries, as 3."""
    root = tmp_path_factory.mktemp("releases")
    made = make_releases(root)
    for number, release in enumerate(made, 1):
        registered = register(release, home, root / f"report{number}")
        assert (registered.version, registered.model, registered.data_name) == (str(number), NAME, "drawn")
        assert registered.aliases == ("challenger",)
    return made


@pytest.fixture
def first(home, releases):
    """Version 1 serves and is champion, whatever was before."""
    to(home, "1", NAME)
