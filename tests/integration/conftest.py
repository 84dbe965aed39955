"""What several of these tests start from: a home whose server is stopped at the end, and registered releases."""

import boto3
import pytest
from moto.server import ThreadedMotoServer

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


@pytest.fixture
def bucket(monkeypatch):
    """A client of an S3 on loopback that has the bucket `images`; the environment leads to it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for key, value in settings.items():
        monkeypatch.setenv(key, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="images")
    yield client
    server.stop()
