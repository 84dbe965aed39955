"""Which process is this home's server."""

import json
import os

import pytest

from model.home import Home
from serving.backends.torchserve import discovery, process


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x", "ports": {}}', '{"ports": {"management": 1}}'])
def test_a_damaged_state_file_names_no_server(tmp_path, text):
    places = Home.at(tmp_path).serve
    places.root.mkdir()
    places.state.write_text(text)
    assert discovery.find(places) is None


def test_somebody_elses_process_under_the_recorded_number_is_not_ours(tmp_path):
    places = Home.at(tmp_path).serve
    places.root.mkdir()
    ports = dict.fromkeys(("management", "metrics", "grpc_inference", "grpc_management"), 1)
    places.state.write_text(json.dumps({"pid": os.getpid(), "ports": ports, "scratch": str(tmp_path / "none")}))
    assert discovery.find(places) is None
    assert process.end(places) is False  # and this test is still here to say so
