"""What the engine does with the containers of a run, and with those of one that was killed."""

import os
import signal
import subprocess

import pytest

from components.runtime.image import IMAGE
from model.demo.catalogue import draw_catalogue
from model.errors import NotFound
from pipelines.runners import container_engine
from serving.processes import wait_until
from tests.support.commands import command, last_line

SETTINGS = {
    "model.image_size": 64,
    "train.epochs": 200,
    "train.patience": 200,
    "evaluate.samples": 100,
    "gate.min_gain_over_untrained": -1,
}


@pytest.fixture
def run_container(client, monkeypatch):
    from kfp.local import docker_task_handler as handler

    monkeypatch.setattr(handler, "run_docker_container", handler.run_docker_container)  # put back at the end
    signals = container_engine.watch_containers({})

    def run(script, **more):
        return handler.run_docker_container(client, IMAGE, ["sh", "-c", script], {}, network_mode="none", **more)

    return run, signals


def test_a_container_that_ends_at_once_has_the_exit_code_that_it_had(run_container):
    run, signals = run_container
    assert [run("exit 3"), run("exit 0")] == [3, 0]
    assert signals == []


def test_what_a_container_prints_is_kept_whatever_its_bytes_are(run_container, capsys):
    run, _ = run_container
    for _ in range(20):  # the engine's log lacks it about once in twenty times
        run(r"printf 'k\303\244se \377 ende'")
        assert capsys.readouterr().out == "käse � ende"


def test_a_killed_container_is_noted_with_its_signal(run_container):
    run, signals = run_container
    assert run("kill -9 $$", pid_mode="host") == 137  # the first process of a container that shares none cannot kill itself
    assert signals == [9]


def test_a_container_that_takes_more_memory_than_it_may_is_killed(run_container):
    run, signals = run_container
    assert run("python3 -c 'b = bytearray(400_000_000)'", mem_limit="64m", memswap_limit="64m") == 137
    assert signals == [9]


def test_removing_a_run_ends_its_containers_and_no_other(client, tmp_path):
    labels = [container_engine.of_run(tmp_path / each) for each in ("a", "b")]
    mine, other = (client.containers.run(IMAGE, ["sleep", "60"], detach=True, network_mode="none", **each) for each in labels)
    try:
        container_engine.remove_run(client, tmp_path / "a")
        ids = {each.id for each in client.containers.list(all=True, ignore_removed=True)}
        assert mine.id not in ids
        assert other.id in ids
    finally:
        other.remove(force=True)


def test_an_image_that_is_not_there_is_named(client):
    with pytest.raises(NotFound, match="There is no image glocal/nothing:0 on this machine"):
        container_engine.code_of(client, "glocal/nothing:0")


def test_a_run_that_was_killed_with_all_that_watched_it_is_cleared_away_by_the_next_one_which_succeeds(
    client, folder, glocal, containers, words_of
):
    draw_catalogue(folder / "drawn", products=12, views=6, scenes=2, size=96, seed=3)
    options = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    run = command("run", folder / "drawn", "--name", "drawn", *options, "--runner", "docker", "--json")
    home = folder / containers

    def of_the_home():
        found = client.containers.list(filters={"label": container_engine.RUN}, ignore_removed=True)
        return [each for each in found if each.labels[container_engine.RUN].startswith(str(home))]

    words, variables = words_of(containers, run)
    with subprocess.Popen(
        words, env=os.environ | variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        checkpoints = (home / "work" / "training").glob
        assert wait_until(lambda: any(checkpoints("*/*/last*.safetensors")) or process.poll() is not None, deadline_s=400)
        before = [each.id for each in of_the_home()]
        assert len(before) == 1
        if words[0] == "docker":
            client.containers.get(words[words.index("--name") + 1]).kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    code, out, error = glocal(containers, run)
    assert code == 0, error
    assert last_line(out)["status"] == "succeeded"
    assert {each.id for each in client.containers.list(all=True, ignore_removed=True)}.isdisjoint(before)
