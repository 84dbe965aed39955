from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from model.errors import Unavailable
from model.files import write_json
from model.home import Home
from serving.local import ensure_key
from serving.rollout.endpoint import connect


@contextmanager
def loading(folder):
    yield None


BACKEND = SimpleNamespace(loading=loading)


def test_an_endpoint_has_one_client_which_is_closed_with_it(tmp_path):
    folder = Home(tmp_path).serve
    write_json(folder.gateway, {"port": 9})
    ensure_key(folder)
    with connect(folder, BACKEND) as endpoint:
        client = endpoint.client
        assert endpoint.client is client
        with pytest.raises(Unavailable):  # nobody listens there; the connections are made with the first call
            client.release()
        opened = client._http
        assert not opened.is_closed
    assert opened.is_closed


def test_without_a_gateway_an_endpoint_is_connected_to_and_has_no_client(tmp_path):
    with connect(Home(tmp_path).serve, BACKEND) as endpoint, pytest.raises(Unavailable, match="does not run"):
        _ = endpoint.client
