"""The ports of a server that is about to start."""

import socket

from serving.backends.torchserve import configuration, process


def test_a_port_in_use_is_replaced_and_a_free_one_kept():
    with socket.socket() as taken, socket.socket() as spare:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        spare.bind(("127.0.0.1", 0))
        busy, free = taken.getsockname()[1], spare.getsockname()[1]
        spare.close()
        ports = process._free_ports(configuration.Ports(busy, free, 0, 0))
    assert ports.management != busy
    assert ports.metrics == free
    assert len(set(vars(ports).values())) == 4
