"""Promotions on a cluster, from the registry to a caller: pods are processes of this machine, everything else is real.

Real are the API server and its controllers, the Deployment of the base, the registry, the init container's and the container's
commands, gateway and TorchServe of each pod, and the probe by which a pod is ready.
"""

import os
import shutil
import signal
import threading
from datetime import UTC, datetime

import pytest

from model.claim import claim
from model.config import ServeConfig
from model.errors import GlocalError, Unavailable
from model.files import read_json
from model.home import Home
from model.schemas.challenge import Challenge
from serving import server
from serving.challenging import start_challenge, stop_challenge
from serving.gateway.keys import Scope, create_key
from serving.local import local_client
from serving.promotion import smoke
from serving.reconcile import start_server
from serving.registry.models import Registry
from tests.support.cluster import Cluster, Node, Replica, Service, rendered, until
from tests.support.promotions import make_releases, register, to
from tests.support.records import promotions
from tests.support.releases import draw_image

pytestmark = [pytest.mark.integration, pytest.mark.slow]
NAMESPACE, NAME = "glocal", "drawn"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("pods get addresses of this machine, which needs root and the program ip")
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield made.start().start_controllers()
    finally:
        made.stop()


@pytest.fixture(scope="module")
def place(cluster, tmp_path_factory):
    """A home that promotes, its registry with three versions, of which the third does not answer, and a node."""
    folder = tmp_path_factory.mktemp("place")
    home, releases = claim(Home(folder / "home")), make_releases(folder / "releases")
    for number, release in enumerate(releases):
        register(release, home, folder / f"evidence-{number}")
    _, key = create_key(home.serve, "promoter", [Scope.CALLER, Scope.OPERATOR])
    shutil.copy(home.serve.keys, folder / "keys.json")
    documents = rendered("gpu")
    kinds = ("Namespace", "ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Service")
    for kind in kinds:
        cluster.apply(*[each for each in documents if each["kind"] == kind])
    deployment = next(each for each in documents if each["kind"] == "Deployment" and each["metadata"]["name"] == "glocal-serve")
    cluster.apply(deployment)
    service = Service(cluster, NAMESPACE, "glocal-serve")
    pods = {"GLOCAL_TRACKING_URI": home.tracking_uri, "OMP_NUM_THREADS": "1"}
    started = []

    def runs(pod, address):
        command = pod["spec"]["containers"][0]["args"]
        command[command.index("--keys") + 1] = str(folder / "keys.json")
        started.append(Replica(pod, address, folder / "pods", pods))
        return started[-1]

    with pytest.MonkeyPatch.context() as patch:
        settings = {"BACKEND": "kubernetes", "NAMESPACE": NAMESPACE, "ENDPOINT": service.address, "KEY": key, "ROLLOUT_S": "150"}
        for name, value in settings.items():
            patch.setenv(f"GLOCAL_{name}", value)
        patch.setenv("KUBECONFIG", str(cluster.account(NAMESPACE, "glocal-dashboard")))
        with Node(cluster, NAMESPACE, runs) as node:
            yield Place(home, releases, service, node, started)
        service.close()


class Place:
    """What the tests of this file share."""

    def __init__(self, home, releases, service, node, started):
        self.home, self.releases, self.service, self.node, self.started = home, releases, service, node, started

    def champion(self):
        return Registry(self.home.tracking_uri, NAME).alias("champion")

    def answers(self):
        """The version that answers a caller, who names none."""
        return local_client(self.home.serve).search(draw_image(1), 1, model=NAME).model_version

    def one_truth(self, version):
        assert self.answers() == self.champion() == version
        assert read_json(self.home.serve.deployed)[NAME]["version"] == version
        status = server.status(self.home)
        assert (status.backend, status.address, status.state) == ("kubernetes", self.service.address, "serving")
        assert [each.version for each in status.models[NAME].versions] == [version]


@pytest.mark.timeout(600)
def test_a_promotion_is_a_rollout_and_what_fails_in_a_pod_is_taken_back(cluster, place):
    done = to(place.home, "1", NAME)
    assert (done.address, done.version, done.golden) == (place.service.address, "1", 2)
    place.one_truth("1")
    smoke(local_client(place.home.serve), place.releases[0].folder, ServeConfig())

    to(place.home, "2", NAME)
    place.one_truth("2")
    assert Registry(place.home.tracking_uri, NAME).alias("previous") == "1"

    with pytest.raises(Unavailable, match=r"not ready: glocal-serve-.*exit code 1.*golden query"):
        to(place.home, "3", NAME)
    place.one_truth("2")
    entry = promotions(place.home.tracking_uri, NAME)[0]
    assert (entry["to"], entry["outcome"]) == ("3", "failed")
    assert "golden query" in entry["why"]
    assert cluster.get(cluster.deployment(NAMESPACE))["status"]["readyReplicas"] == 1


@pytest.mark.timeout(600)
def test_no_call_fails_while_versions_change(cluster, place):
    to(place.home, "1", NAME)
    answered, ended = [], threading.Event()

    def ask():
        client = local_client(place.home.serve)
        while not ended.is_set():
            try:
                answered.append(client.search(draw_image(1), 1, model=NAME).model_version)
            except GlocalError as error:
                answered.append(str(error))

    asking = threading.Thread(target=ask)
    asking.start()
    to(place.home, "2", NAME)
    until(lambda: answered and answered[-1] == "2")
    ended.set()
    asking.join()
    assert len(answered) > 20
    assert set(answered) == {"1", "2"}
    assert answered.index("2") > 0
    place.one_truth("2")


@pytest.mark.timeout(600)
def test_a_challenger_runs_beside_the_champion_in_the_same_pod_and_is_ended(cluster, place):
    to(place.home, "2", NAME)
    terms = Challenge(mode="canary", share=1.0, started=datetime.now(UTC))
    tried = start_challenge("1", terms, home=place.home, tracking_uri=place.home.tracking_uri, name=NAME)
    assert tried.ready
    assert place.answers() == "1"
    assert place.champion() == "2"
    assert server.status(place.home).challengers[NAME].version == "1"
    assert stop_challenge(place.home, NAME) == "1"
    place.one_truth("2")


@pytest.mark.timeout(600)
def test_a_pod_whose_gateway_dies_ends_and_a_start_brings_back_what_was_changed_by_hand(cluster, place):
    to(place.home, "2", NAME)
    replica = next(each for each in place.node.running.values() if each.ready())
    state = next(replica._folder.glob("home/serve/gateway.json"))
    os.kill(read_json(state)["pid"], signal.SIGKILL)
    until(replica.fault, within=60)
    assert "A part of the endpoint ended by itself." in replica.fault()
    for each in cluster.get(path := f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]:
        cluster.http.delete(f"{path}/{each['metadata']['name']}")
    until(place.service.ready, within=120)

    gone = [{"op": "remove", "path": "/spec/template/metadata/annotations/glocal.io~1served"}]
    cluster.patch(cluster.deployment(NAMESPACE), gone, "json-patch+json")
    start_server(place.home, place.home.tracking_uri)
    place.one_truth("2")
