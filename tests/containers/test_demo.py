"""The whole demo in containers, beside the demo on this machine: `make e2e-docker`."""

import json

import pytest

from model.demo.catalogue import draw_catalogue
from model.home import Home
from pipelines.runners import container_engine
from serving.processes import wait_until
from tests.support import commands
from tests.support.commands import command, last_line

STEPS = ["version", "train", "index", "evaluate", "gate", "register", "deploy", "smoke-test", "record"]


@pytest.fixture(scope="module")
def demo(folder):
    draw_catalogue(folder / "demo")
    return folder / "demo"


@pytest.fixture(scope="module")
def in_containers(demo, glocal, containers):
    code, out, error = glocal(
        containers, command("run", demo, "--name", "demo", "--why", "make e2e-docker", "--json", "--runner", "docker")
    )
    assert code == 0, error
    return last_line(out)


@pytest.fixture(scope="module")
def on_this_machine(demo, folder):
    code, out, error = commands.glocal(folder / "local", command("run", demo, "--name", "demo", "--json"), timeout=1400)
    assert code == 0, error
    yield last_line(out)
    commands.glocal(folder / "local", command("serve", "stop"))


def figures(body):
    return {name: value for name, value in body["report"].items() if name not in {"path", "latency_ms", "size_mb"}}


def test_every_step_ran_in_a_container_and_the_model_serves(in_containers):
    assert in_containers["status"] == "succeeded"
    assert [step["name"] for step in in_containers["steps"]] == STEPS
    assert in_containers["alias"] == "champion"
    assert in_containers["address"] == "http://127.0.0.1:18180"


def test_the_run_leaves_no_container_but_the_endpoint_s(in_containers, client, folder):
    home = Home.at(folder / "containers")
    left = client.containers.list(all=True, filters={"label": container_engine.RUN}, ignore_removed=True)
    assert [each.name for each in left if str(home.root) in each.labels[container_engine.RUN]] == []
    assert client.containers.get(container_engine.endpoint_name(home)).status == "running"


def test_the_endpoint_has_no_rights_and_a_read_only_root_and_is_published_on_loopback(in_containers, client, folder):
    endpoint = client.containers.get(container_engine.endpoint_name(Home.at(folder / "containers")))
    host = endpoint.attrs["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["Privileged"]) == (True, ["ALL"], False)
    assert {each["HostIp"] for ports in host["PortBindings"].values() for each in ports} == {"127.0.0.1"}
    assert endpoint.exec_run(["id", "-u"]).output.strip() != b"0"
    assert endpoint.exec_run(["sh", "-c", "touch /opt/glocal/x || touch /etc/x"]).exit_code != 0
    assert endpoint.exec_run(["python3", "-c", "import kfp"]).exit_code != 0
    assert endpoint.exec_run(["sh", "-c", "cat /proc/[0-9]*/status | grep -c '^Uid:.0'"]).output.strip() == b"0"


@pytest.mark.parametrize("operation", ["search", "identify", "embed", "detect"])
def test_the_endpoint_answers(in_containers, glocal, containers, demo, operation):
    image = demo / ("scenes/00.jpg" if operation == "detect" else "query.jpg")
    code, out, error = glocal(containers, command("query", image, "--op", operation, "--json"))
    assert code == 0, error
    assert json.loads(out)["model_version"] == "1"


def test_a_second_run_takes_what_is_finished_from_the_cache_and_the_endpoint_stays(
    in_containers, glocal, containers, demo, client, folder
):
    endpoint = client.containers.get(container_engine.endpoint_name(Home.at(folder / "containers"))).id
    code, out, error = glocal(containers, command("run", demo, "--name", "demo", "--json", "--runner", "docker"))
    assert code == 0, error
    assert [step["name"] for step in last_line(out)["steps"] if step["cached"]] == ["train", "index", "evaluate"]
    assert client.containers.get(container_engine.endpoint_name(Home.at(folder / "containers"))).id == endpoint


def test_the_endpoint_serves_again_after_its_container_was_restarted(in_containers, glocal, containers, demo, client, folder):
    endpoint = client.containers.get(container_engine.endpoint_name(Home.at(folder / "containers")))
    endpoint.restart(timeout=60)

    def answers():
        return glocal(containers, command("query", demo / "query.jpg", "--json"))[0] == 0

    assert wait_until(answers, deadline_s=120, pause_s=1), endpoint.logs(tail=30).decode()


def test_its_figures_are_those_of_the_local_runner(in_containers, on_this_machine, capsys):
    with capsys.disabled():
        print("\n| runner | Recall@1 | MAP@R | untrained MAP@R | seconds of the steps |\n| --- | --- | --- | --- | --- |")
        for name, body in {"local": on_this_machine, "docker": in_containers}.items():
            report, seconds = body["report"], sum(step["seconds"] for step in body["steps"])
            untrained = report["untrained"]["map_at_r"]
            print(f"| {name} | {report['recall_at_1']:.6f} | {report['map_at_r']:.6f} | {untrained:.6f} | {seconds:.0f} |")
    assert in_containers["data"]["md5"] == on_this_machine["data"]["md5"]
    assert figures(in_containers) == figures(on_this_machine)
