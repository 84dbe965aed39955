"""What serves is read from the record, and outlives it."""

import logging
from datetime import UTC, datetime

import pytest

from model.errors import Unavailable
from model.home import Home
from model.schemas.challenge import Challenge
from serving.backends.port import Served
from serving.gateway.deployments import Deployments
from serving.rollout.challengers import DeployedChallenger, write_challenger
from serving.rollout.deployed import Deployed, write_deployed


@pytest.fixture
def folder(tmp_path):
    return Home(tmp_path).serve


def deploy(folder, name, version):
    entry = {"archive": f"{name}-{version}.mar", "sha256": "x", "release": f"r{version}", "embedding_space_id": "s", "workers": 2}
    write_deployed(folder.deployed, name, Deployed(version=version, **entry))


def test_it_follows_what_is_deployed(folder):
    deployments = Deployments(folder)
    assert deployments.served() == {}
    deploy(folder, "mugs", "1")
    deploy(folder, "oats", "4")
    assert {name: each.version for name, each in deployments.served().items()} == {"mugs": "1", "oats": "4"}
    deploy(folder, "mugs", "2")
    assert (deployments.served()["mugs"].release, deployments.served()["mugs"].workers) == ("r2", 2)


@pytest.mark.parametrize("lose", ["remove", "empty", "replace by a folder", "replace by a link to itself"])
def test_what_served_serves_on_when_the_record_is_lost(folder, lose, caplog):
    deployments = Deployments(folder)
    deploy(folder, "mugs", "1")
    before = deployments.served()
    folder.deployed.unlink()
    if lose == "empty":
        folder.deployed.touch()
    elif lose == "replace by a folder":
        folder.deployed.mkdir()
    elif lose == "replace by a link to itself":
        folder.deployed.symlink_to(folder.deployed)
    with caplog.at_level(logging.WARNING):
        assert deployments.served() == deployments.served() == before
    assert len(caplog.records) == (lose != "remove")


def test_a_record_that_was_never_read_is_an_error_whose_cause_only_the_log_tells(folder, caplog):
    folder.root.mkdir()
    folder.deployed.write_text("{")
    with caplog.at_level(logging.ERROR), pytest.raises(Unavailable) as caught:
        Deployments(folder).served()
    assert str(folder.root) not in str(caught.value)
    assert f"{folder.deployed} is damaged" in caplog.text


def test_it_follows_what_is_tried(folder):
    deployments = Deployments(folder)
    assert deployments.challengers() == {}
    terms = Challenge(mode="shadow", share=0.1, started=datetime(2026, 1, 1, tzinfo=UTC))
    entry = {"archive": "mugs-2.mar", "sha256": "x", "release": "r2", "embedding_space_id": "s", "workers": 3}
    write_challenger(folder.challengers, "mugs", DeployedChallenger(version="2", challenge=terms, **entry))
    assert deployments.challengers()["mugs"].served == Served("mugs", "2", "r2", "s", 3)
    assert deployments.challengers()["mugs"].challenge == terms
    folder.challengers.write_text("{")
    assert deployments.challengers() == {}
