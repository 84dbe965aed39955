import pytest

from model.home import Home
from serving import server
from tests.support.commands import end


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A GLOCAL_HOME for one file of tests, whose processes end with it."""
    folder = tmp_path_factory.mktemp("home")
    yield folder
    server.stop(Home.at(folder))
    end(folder)
