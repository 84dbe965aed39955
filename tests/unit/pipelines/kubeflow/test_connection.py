"""The connection to Kubeflow, against a server that speaks its API."""

import time

import pytest

from model.cluster import Kubeflow
from model.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthorized, Unavailable
from pipelines.kubeflow.connection import Connection
from pipelines.kubeflow.runs import look
from tests.support.kubeflow import kubeflow, refused

pytestmark = pytest.mark.slow


@pytest.fixture
def server():
    with kubeflow() as state:
        yield state


def connect(server, **settings):
    return Connection(Kubeflow(kubeflow_host=server.host, **settings))


def test_an_address_that_nobody_set_is_an_error_that_says_what_to_set(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(InvalidInput, match="not known") as raised:
        Connection(Kubeflow())
    assert "GLOCAL_KUBEFLOW_HOST" in raised.value.hint


def test_nobody_at_the_address_is_an_error_that_may_pass():
    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:9 does not answer") as raised:
        Connection(Kubeflow(kubeflow_host="http://127.0.0.1:9"))
    assert raised.value.retry


def test_a_server_that_is_silent_is_given_up_in_time(server):
    connection = connect(server, kubeflow_timeout_s=0.3)
    server.faults.extend([lambda _: time.sleep(2)] * 2)
    begun = time.monotonic()
    with pytest.raises(Unavailable, match="does not answer"):
        look(connection, "r")
    assert time.monotonic() - begun < 3


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, InvalidInput), (403, Forbidden), (404, NotFound), (409, Conflict), (500, Unavailable), (503, Unavailable)],
)
def test_an_error_of_the_server_is_in_our_words_with_its_own_message(server, status, error):
    connection = connect(server)
    server.faults.extend([lambda _: refused(status, "because of\nthis")] * 2)
    with pytest.raises(error, match="because of this"):
        look(connection, "r")


def test_an_error_page_of_a_proxy_is_shown_on_one_line(server):
    from fastapi.responses import HTMLResponse

    connection = connect(server)
    server.faults.extend([lambda _: HTMLResponse("<h1>Bad\n gateway</h1>" + "x" * 5000, 502)] * 2)
    with pytest.raises(Unavailable, match="<h1>Bad gateway</h1>") as raised:
        look(connection, "r")
    assert len(raised.value.headline) < 700


def test_a_refused_token_is_said_at_once(server, tmp_path):
    server.token = "right"
    (tmp_path / "token").write_text("wrong\n")
    begun = time.monotonic()
    with pytest.raises(Unauthorized, match="refuses the token") as raised:
        connect(server, kubeflow_token_file=tmp_path / "token")
    assert "GLOCAL_KUBEFLOW_TOKEN_FILE" in raised.value.hint
    assert time.monotonic() - begun < 3


def test_a_token_that_was_renewed_in_its_file_is_used_from_the_next_call_on(server, tmp_path):
    server.token, file = "first", tmp_path / "token"
    file.write_text("first\n")
    connection = connect(server, kubeflow_token_file=file)
    server.token = "second"
    with pytest.raises(Unauthorized):
        look(connection, "r")
    file.write_text("second\n")
    with pytest.raises(NotFound):
        look(connection, "r")


def test_a_token_that_cannot_be_read_is_an_error_that_names_the_setting(server, tmp_path):
    with pytest.raises(InvalidInput, match="cannot be read"):
        connect(server, kubeflow_token_file=tmp_path / "none")


def test_a_kubeflow_of_several_users_is_asked_in_the_namespace_alone_and_no_file_is_written(server, tmp_path, monkeypatch):
    from pipelines.kubeflow.runs import experiment

    monkeypatch.setenv("HOME", str(tmp_path))
    server.namespace = "team-a"
    assert experiment(connect(server, kubeflow_namespace="team-a"))
    with pytest.raises(Forbidden, match="team-b"):
        experiment(connect(server, kubeflow_namespace="team-b"))
    assert not (tmp_path / ".config").exists()


def test_nothing_that_kfps_client_prints_reaches_standard_output(server, capsys):
    from pipelines.kubeflow.runs import experiment

    experiment(connect(server))
    assert capsys.readouterr().out == ""
