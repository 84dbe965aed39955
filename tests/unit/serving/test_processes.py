import os
import socket
from pathlib import Path

import pytest

from model.home import Home
from serving.processes import bind_port, own_environment


def test_a_free_port_that_is_held_can_be_bound_by_nobody_else_before_it_is_listened_at():
    with bind_port() as held, socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(held.getsockname())


def test_a_port_that_is_taken_is_replaced_by_a_free_one_which_the_next_server_can_take_at_once():
    with socket.create_server(("127.0.0.1", 0)) as taken, bind_port(taken.getsockname()[1]) as first:
        address = first.getsockname()
        assert address != taken.getsockname()
        first.listen()
        with socket.create_connection(address):
            accepted, _ = first.accept()
            accepted.close()  # the side that closes first lingers
    with bind_port(address[1]) as second:
        assert second.getsockname() == address


def test_what_is_answered_on_a_connection_is_sent_at_once():
    with bind_port() as listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_process_in_another_folder_finds_the_home_and_this_code_and_what_else_this_one_finds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([".", "beside"]))
    found = own_environment(Home.at("home"), GLOCAL_USER="ann")
    code = Path(__file__).parents[3]
    assert found["PYTHONPATH"].split(os.pathsep) == [str(code), str(tmp_path), str(tmp_path / "beside")]
    assert (found["GLOCAL_HOME"], found["GLOCAL_USER"]) == (str(tmp_path / "home"), "ann")
    monkeypatch.setenv("PYTHONPATH", found["PYTHONPATH"])
    assert own_environment(Home.at("home"))["PYTHONPATH"] == found["PYTHONPATH"]
