import socket

import pytest

from serving.processes import bind_port


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
