"""What the containers of a run are started with. That they run is seen in tests/containers."""

import os

import pytest

from model.containers import Containers
from model.environment import Environment
from model.errors import InvalidInput, Unavailable
from model.home import Home
from pipelines.runners import container_engine, docker


@pytest.fixture
def user(monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 1234)
    monkeypatch.setattr(os, "getgid", lambda: 99)


def test_a_container_runs_as_who_starts_the_run_without_rights_and_writes_to_its_tmp_alone(user):
    arguments = docker.confined(Containers())
    assert arguments["user"] == "1234:99"
    assert arguments["read_only"] is True
    assert (arguments["cap_drop"], arguments["security_opt"]) == (["ALL"], ["no-new-privileges"])
    assert list(arguments["tmpfs"]) == ["/tmp"]
    assert (arguments["mem_limit"], arguments["shm_size"]) == ("8g", "1g")


def test_root_is_refused_unless_it_is_asked_for_by_name(monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 0)
    with pytest.raises(InvalidInput, match="as root"):
        docker.confined(Containers())
    assert docker.confined(Containers(container_user="0:0"))["user"] == "0:0"


@pytest.mark.parametrize(
    ("name", "value"),
    [("user", "glocal"), ("publish", "8080"), ("memory", "8 GB"), ("gpus", "-1"), ("shared_memory", "")],
)
def test_a_setting_that_the_engine_would_not_understand_is_refused(name, value):
    with pytest.raises(ValueError, match=f"container_{name}"):
        Containers(**{f"container_{name}": value})


def test_places_and_secrets_are_passed_and_what_counts_for_this_machine_alone_is_not():
    variables = {
        "GLOCAL_TRACKING_URI": "http://mlflow:5000",
        "AWS_SECRET_ACCESS_KEY": "s",
        "MLFLOW_TRACKING_TOKEN": "t",
        "GLOCAL_RUNNER": "docker",
        "GLOCAL_CONTAINER_USER": "1:1",
        "GLOCAL_SERVER": "http://elsewhere",
        "PATH": "/bin",
        "HOME": "/root",
    }
    assert sorted(docker.passed(variables)) == ["AWS_SECRET_ACCESS_KEY", "GLOCAL_TRACKING_URI", "MLFLOW_TRACKING_TOKEN"]


def test_what_a_run_is_started_on_can_be_read_in_the_containers(tmp_path):
    folder, table = tmp_path / "photos", tmp_path / "tables" / "photos.csv"
    folder.mkdir()
    table.parent.mkdir()
    table.touch()
    arguments = [str(folder), str(table), "photos@4f2c1ab", "s3://bucket/photos", str(tmp_path / "missing"), {"epochs": 3}]
    assert docker.sources(arguments) == [folder, table.parent]


def test_a_data_remote_that_is_a_folder_can_be_written_to_and_an_address_is_none(tmp_path):
    home = Home.at(tmp_path)
    assert docker.written(Environment(home=home, data_remote=str(tmp_path / "remote"))) == [tmp_path / "remote"]
    assert docker.written(Environment(home=home, data_remote="s3://bucket/data")) == []
    assert docker.written(Environment(home=home, data_remote="")) == []


def test_the_endpoint_can_read_the_key_that_verifies_and_neither_the_one_that_signs_nor_credentials(tmp_path, monkeypatch):
    for name in ("sign.pem", "verify.pem"):
        (tmp_path / name).touch()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("GLOCAL_KEY", "hush")
    monkeypatch.setenv("GLOCAL_DATA_GIT", "https://me:hush@git.example/data.git")
    monkeypatch.setenv("GLOCAL_TRACKING_URI", "https://me:hush@mlflow.example")
    monkeypatch.setenv("GLOCAL_WORKER_MEMORY_MB", "3000")
    home = Home.at(tmp_path / "home")
    environment = Environment(home=home, signing_key=tmp_path / "sign.pem", verifying_key=tmp_path / "verify.pem")
    given = docker.of_endpoint(environment, Containers(container_publish="127.0.0.1:9000"))
    assert [(each["Source"], each["ReadOnly"]) for each in given["mounts"]] == [
        (str(home.root), False),
        (str(tmp_path / "verify.pem"), True),
    ]
    assert given["ports"] == {"9000/tcp": ("127.0.0.1", 9000)}
    assert given["environment"] == {
        "GLOCAL_HOME": str(home.root),
        "GLOCAL_GATEWAY_PORT": "9000",
        "GLOCAL_BACKEND": "torchserve",
        "GLOCAL_WORKER_MEMORY_MB": "3000",
        "GLOCAL_VERIFYING_KEY": str(tmp_path / "verify.pem"),
    }


def test_keys_that_settings_name_can_be_read(tmp_path):
    (tmp_path / "key.pem").touch()
    environment = Environment(home=Home.at(tmp_path), signing_key=tmp_path / "key.pem", verifying_key=tmp_path / "missing.pem")
    assert docker.files(environment) == [tmp_path / "key.pem"]


def test_steps_run_in_the_network_and_among_the_processes_of_the_endpoint():
    assert docker.beside("endpoint") == {"network_mode": "container:endpoint", "pid_mode": "container:endpoint"}


def test_a_folder_lies_at_its_own_path_in_a_container(tmp_path):
    mount = container_engine.bind(tmp_path, read_only=True)
    assert (mount["Source"], mount["Target"], mount["Type"], mount["ReadOnly"]) == (str(tmp_path), str(tmp_path), "bind", True)


@pytest.mark.parametrize(("wanted", "count"), [("all", -1), ("2", 2), ("", None), ("0", None)])
def test_gpus_are_asked_for_by_number(wanted, count):
    assert [each["Count"] for each in container_engine.gpus(wanted)] == ([] if count is None else [count])


def test_every_home_has_an_endpoint_of_its_own(tmp_path):
    names = {container_engine.endpoint_name(Home.at(tmp_path / each)) for each in ("a", "b", "a")}
    assert len(names) == 2
    assert all(name.startswith("glocal-endpoint-") for name in names)


def test_without_an_engine_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(Unavailable, match=r"No container engine answers\. Start it"), container_engine.connected():
        pass
