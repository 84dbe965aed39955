"""The manifests at a real API server, with its controllers, and the adapter that promotes there."""

import json
import threading
from datetime import UTC, datetime

import pytest
import yaml

from model.errors import Conflict, Forbidden, InvalidInput, NotFound, Unavailable
from model.home import Home
from model.schemas.challenge import Challenge
from serving.archive import build_archive
from serving.backends.kubernetes.backend import BACKEND
from serving.backends.kubernetes.loading import KubernetesLoading
from serving.backends.kubernetes.workload import OWNER, SERVED, Workload
from serving.backends.port import Stored
from tests.support.cluster import ASSETS, Cluster, Node, Said, rendered, until
from tests.support.releases import make_release

pytestmark = [pytest.mark.integration, pytest.mark.slow]
NAMESPACE = "glocal"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture(scope="module")
def controlled(cluster):
    """The cluster with its controllers."""
    return cluster.start_controllers()


def namespaced(documents, kinds=None):
    return [each for each in documents if each["kind"] != "Namespace" and (kinds is None or each["kind"] in kinds)]


@pytest.fixture(scope="module")
def applied(cluster):
    """The overlay for GPU nodes, which has all of the cluster in it, applied."""
    for crd in sorted((ASSETS / "crds").glob("*.yaml")):
        cluster.apply(yaml.safe_load(crd.read_text()))
    documents = rendered("gpu")
    cluster.apply(*[each for each in documents if each["kind"] == "Namespace"])
    cluster.apply(*namespaced(documents))
    return documents


@pytest.mark.parametrize("overlay", ["single-node", "gpu", "production", "kserve"])
def test_every_overlay_is_taken_by_the_api_server(cluster, applied, overlay):
    """Server-side, strict, and with admission: an unknown or a repeated field is an error."""
    documents = [each for each in rendered(overlay) if each["kind"] != "InferenceService"]  # no package holds KServe's own schema
    for name in {each["metadata"]["namespace"] for each in namespaced(documents)}:
        cluster.namespace(name)
    cluster.apply(*documents, dry=True)
    wrong = next(each for each in documents if each["kind"] == "Deployment")
    with pytest.raises(AssertionError, match="field not declared in schema"):
        cluster.apply({**wrong, "spec": {**wrong["spec"], "replica": 1}}, dry=True)


BARE = {"serviceAccountName": "glocal-serve", "containers": [{"name": "c", "image": "i:1"}]}
"""A pod of the baseline standard, not of the restricted one."""


def admitted(cluster, name, spec):
    """The API server's answer to a pod that is not made."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}
    return cluster.http.post(f"/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All", json=pod)


@pytest.fixture
def restricted(cluster, applied):
    """The namespace with the restricted standard enforced. The API server heeds a changed label a moment later."""
    path, label = f"/api/v1/namespaces/{NAMESPACE}", "pod-security.kubernetes.io/enforce"
    before = cluster.get(path)["metadata"]["labels"][label]

    def enforce(standard, status):
        cluster.patch(path, {"metadata": {"labels": {label: standard}}})
        until(lambda: admitted(cluster, "bare", BARE).status_code == status)

    enforce("restricted", 403)
    yield
    enforce(before, 201)


def test_the_pods_are_admitted_by_the_restricted_standard_and_others_are_not(cluster, applied, restricted):
    made = [each for each in applied if each["kind"] in {"Deployment", "StatefulSet"}]
    assert len(made) == 5
    for each in made:
        spec = each["spec"]["template"]["spec"]
        claimed = [{"name": claim["metadata"]["name"], "emptyDir": {}} for claim in each["spec"].get("volumeClaimTemplates", ())]
        answer = admitted(cluster, each["metadata"]["name"], {**spec, "volumes": [*spec.get("volumes", ()), *claimed]})
        assert answer.status_code == 201, answer.text
    refused = admitted(cluster, "bare", BARE)
    assert refused.status_code == 403
    assert "violates PodSecurity" in refused.json()["message"]


def test_the_namespace_takes_a_large_step_as_kubeflow_makes_its_pod_and_none_with_the_node_s_rights(cluster, applied):
    resources = {"requests": {"cpu": "16", "memory": "64Gi"}, "limits": {"memory": "64Gi"}}
    main = {"name": "main", "image": "i:1", "resources": resources}
    made = admitted(
        cluster, "step", {"serviceAccountName": "glocal-steps", "containers": [{"name": "wait", "image": "i:1"}, main]}
    )
    assert made.status_code == 201, made.text
    refused = admitted(cluster, "step", {"serviceAccountName": "glocal-steps", "hostNetwork": True, "containers": [main]})
    assert "violates PodSecurity" in refused.json()["message"]


ALLOWED = {
    "glocal-dashboard": [("get", "deployments/glocal-serve"), ("patch", "deployments/glocal-serve"), ("list", "pods")],
    "glocal-steps": [
        ("get", "deployments/glocal-serve"),
        ("patch", "deployments/glocal-serve"),
        ("list", "pods"),
        ("get", "pods"),
        ("get", "secrets/mlpipeline-minio-artifact"),
        ("create", "trainjobs"),
        ("create", "workflowtaskresults"),
    ],
    "glocal-serve": [],
    "glocal-tracking": [],
    "glocal-database": [],
    "glocal-object-store": [],
}
TRIED = [
    ("get", "deployments/glocal-serve"), ("patch", "deployments/glocal-serve"), ("list", "pods"),
    ("patch", "deployments/glocal-tracking"), ("delete", "deployments/glocal-serve"), ("create", "deployments"),
    ("list", "deployments"), ("get", "secrets"), ("list", "secrets"), ("get", "secrets/glocal-endpoint-keys"), ("get", "pods"),
    ("create", "pods"), ("create", "pods/exec"), ("delete", "pods"), ("get", "configmaps"), ("create", "serviceaccounts/token"),
    ("get", "secrets/mlpipeline-minio-artifact"), ("create", "trainjobs"), ("create", "workflowtaskresults"),
    ("update", "networkpolicies"), ("create", "rolebindings"), ("get", "nodes"), ("impersonate", "users"),
]  # fmt: skip


@pytest.mark.parametrize("account", sorted(ALLOWED))
def test_an_account_may_do_what_its_pod_does_and_nothing_else(cluster, applied, account):
    def may(verb, what, namespace=NAMESPACE):
        resource, _, name = what.partition("/")
        subresource = name if what in {"pods/exec", "serviceaccounts/token"} else ""
        group = {
            "deployments": "apps",
            "networkpolicies": "networking.k8s.io",
            "rolebindings": "rbac.authorization.k8s.io",
            "trainjobs": "trainer.kubeflow.org",
            "workflowtaskresults": "argoproj.io",
        }.get(resource, "")
        asked = {"namespace": namespace, "verb": verb, "group": group, "resource": resource, "subresource": subresource}
        asked["name"] = "" if subresource else name
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
        user = f"system:serviceaccount:{NAMESPACE}:{account}"
        review["spec"] = {"user": user, "groups": ["system:serviceaccounts", "system:authenticated"], "resourceAttributes": asked}
        return cluster.http.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", json=review).json()["status"]["allowed"]

    assert {each for each in TRIED if may(*each)} == set(ALLOWED[account])
    assert not any(may(*each, namespace="kube-system") for each in ALLOWED[account])


# The adapter


@pytest.fixture
def deployment(cluster, applied, tmp_path, monkeypatch):
    """The Deployment as it was applied, two pods, in a namespace of the test's own, and a home that promotes there."""
    namespace = f"t{abs(hash(str(tmp_path))) % 10**8}"
    cluster.namespace(namespace)
    own = [json.loads(json.dumps(each).replace('"namespace": "glocal"', f'"namespace": "{namespace}"')) for each in applied]
    kinds = {"Deployment", "ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Service"}
    wanted = [
        each for each in namespaced(own, kinds) if each["kind"] != "Deployment" or each["metadata"]["name"] == "glocal-serve"
    ]
    cluster.apply(*wanted)
    cluster.scale(namespace, 2)
    monkeypatch.setenv("KUBECONFIG", str(cluster.account(namespace, "glocal-dashboard")))
    for name, value in {
        "BACKEND": "kubernetes",
        "NAMESPACE": namespace,
        "ENDPOINT": "http://127.0.0.1:9",
        "ROLLOUT_S": "20",
    }.items():
        monkeypatch.setenv(f"GLOCAL_{name}", value)
    home = Home(tmp_path / "home")
    until(lambda: BACKEND.answers(home.serve), what="The account was not given its rights.")
    yield Promoting(cluster, namespace, home, wanted)
    cluster.http.delete(cluster.deployment(namespace))


class Promoting:
    """A home that promotes at a Deployment, and what tests see of it."""

    def __init__(self, cluster, namespace, home, documents):
        self.cluster, self.namespace, self.home, self.documents = cluster, namespace, home, documents

    def loading(self):
        return BACKEND.loading(self.home.serve)

    def stored(self, version, *, seed=0, name="photos", challenge=None):
        release = make_release(self.home.root / f"release-{version}-{seed}", seed=seed)
        archive = build_archive(release, self.home.serve.store, name=name, version=version, wrapping={})
        return Stored(name, version, archive.path, 1, challenge)

    def deployment(self):
        return self.cluster.get(self.cluster.deployment(self.namespace))

    def served(self):
        """Versions that the pods are told to serve, by name of the model."""
        annotations = self.deployment()["spec"]["template"]["metadata"].get("annotations", {})
        return {name: model["version"] for name, model in json.loads(annotations.get(SERVED, "{}")).items()}

    def held(self):
        with self.loading() as loading:
            return {name: [each.version for each in versions] for name, versions in loading.held().items()}


def only(*versions, named="photos"):
    """A node whose pods are ready once they serve one of some versions, and fail with another."""

    def decide(pod):
        told = json.loads(pod["metadata"].get("annotations", {}).get(SERVED, "{}"))
        version = told.get(named, {}).get("version")
        return version in versions or (False if version is None else f"Version {version} does not answer golden query 0.png.")

    return lambda pod, address: Said(pod, address, decide)


def test_a_version_is_rolled_out_and_is_held_by_every_pod_that_is_ready(controlled, deployment):
    with Node(controlled, deployment.namespace, only("1", "2")) as node, deployment.loading() as loading:
        assert deployment.held() == {}
        loading.load(deployment.stored("1"))
        assert deployment.served() == {"photos": "1"}
        assert deployment.held() == {"photos": ["1"]}
        (version,) = loading.held()["photos"]
        assert version.ready == 2
        loading.load(deployment.stored("2", seed=1))
        assert deployment.held() == {"photos": ["2"]}
        loading.unload("photos", "1")  # the one before is gone already
        assert deployment.served() == {"photos": "2"}
        assert len(BACKEND.replicas(deployment.home.serve)) == 2
        assert node.refused == []


def test_while_a_version_does_not_come_up_the_one_before_serves_and_unloading_it_brings_that_back(controlled, deployment):
    with Node(controlled, deployment.namespace, only("1")), deployment.loading() as loading:
        loading.load(deployment.stored("1"))
        with pytest.raises(Unavailable, match=r"endpoint ended with exit code 1\. Version 2 does not answer golden query"):
            loading.load(deployment.stored("2", seed=1))
        assert deployment.held() == {"photos": ["1"]}
        loading.unload("photos", "2")
        assert deployment.served() == {"photos": "1"}
        assert deployment.held() == {"photos": ["1"]}
        status = deployment.deployment()["status"]
        assert (status["replicas"], status["readyReplicas"], status["availableReplicas"]) == (2, 2, 2)


def test_what_kubernetes_gives_up_is_given_up_before_the_own_patience_ends(controlled, deployment, monkeypatch):
    monkeypatch.setenv("GLOCAL_ROLLOUT_S", "500")
    controlled.patch(controlled.deployment(deployment.namespace), {"spec": {"progressDeadlineSeconds": 5}})

    def never(pod, address):
        return Said(pod, address, lambda _: False)

    with Node(controlled, deployment.namespace, never), deployment.loading() as loading:
        with pytest.raises(Unavailable, match="of 2 are new, 0 are available"):
            loading.load(deployment.stored("2", seed=1))
        loading.unload("photos", "2")
        assert deployment.served() == {}


def test_a_challenger_is_told_to_the_pods_beside_the_version_that_serves_and_taken_back(controlled, deployment):
    terms = Challenge(mode="shadow", share=0.5, started=datetime.now(UTC))
    with Node(controlled, deployment.namespace, only("1", "2")), deployment.loading() as loading:
        loading.load(deployment.stored("1"))
        loading.load(deployment.stored("2", seed=1, challenge=terms))
        assert deployment.held() == {"photos": ["1", "2"]}
        loading.load(deployment.stored("2", seed=1, challenge=terms.model_copy(update={"share": 0.7})))
        told = json.loads(deployment.deployment()["spec"]["template"]["metadata"]["annotations"][SERVED])
        assert told["photos"]["challenger"]["challenge"]["share"] == 0.7
        loading.unload("photos", "2")
        assert deployment.held() == {"photos": ["1"]}


def test_several_models_are_served_side_by_side_and_one_is_taken_away_alone(controlled, deployment):
    with Node(controlled, deployment.namespace, only("1")), deployment.loading() as loading:
        loading.load(deployment.stored("1"))
        loading.load(deployment.stored("7", name="mugs"))
        assert deployment.served() == {"mugs": "7", "photos": "1"}
        loading.unload("mugs", "7")
        assert deployment.served() == {"photos": "1"}


def test_applying_the_manifests_again_changes_nothing_of_what_serves_or_of_the_number_of_pods(controlled, deployment):
    with Node(controlled, deployment.namespace, only("1")), deployment.loading() as loading:
        loading.load(deployment.stored("1"))
        before = deployment.deployment()
        controlled.apply(*deployment.documents)
        after = deployment.deployment()
        assert after["spec"] == before["spec"]
        assert deployment.served() == {"photos": "1"}


def test_two_that_promote_at_once_are_told_and_a_change_of_the_state_alone_is_none(controlled, deployment):
    with Node(controlled, deployment.namespace, only("1", "2", "3")), deployment.loading() as loading:
        loading.load(deployment.stored("1"))
        workload = Workload.chosen()

        def meanwhile(annotation):
            def change(declared):
                controlled.annotate(deployment.namespace, annotation)
                return {**declared, "photos": declared["photos"].model_copy(update={"version": "2"})}

            return change

        owner = deployment.deployment()["metadata"]["annotations"][OWNER]
        workload.declare(meanwhile({"somebody": "looked"}), owner)
        assert deployment.served() == {"photos": "2"}

        others = []

        def overtaken(declared):
            other = KubernetesLoading(Workload.chosen(), owner)
            others.append(threading.Thread(target=other.load, args=(deployment.stored("3", seed=2),), daemon=True))
            others[-1].start()
            until(lambda: deployment.served() == {"photos": "3"})
            return {}

        with pytest.raises(Conflict, match="was changed meanwhile"):
            workload.declare(overtaken, owner)
        others[0].join(60)
        assert deployment.served() == {"photos": "3"}


def test_another_home_does_not_promote_where_one_does_until_it_is_let(controlled, deployment, tmp_path):
    with Node(controlled, deployment.namespace, only("1", "2")), deployment.loading() as loading:
        loading.load(deployment.stored("1"))
        with (
            BACKEND.loading(Home(tmp_path / "other").serve) as others,
            pytest.raises(Conflict, match="Another GLOCAL_HOME promotes"),
        ):
            others.load(deployment.stored("2", seed=1))
        assert deployment.served() == {"photos": "1"}
        controlled.annotate(deployment.namespace, {OWNER: None})
        with BACKEND.loading(Home(tmp_path / "other").serve) as others:
            others.load(deployment.stored("2", seed=1))
        assert deployment.served() == {"photos": "2"}


def test_an_api_server_that_is_started_again_during_a_rollout_is_waited_for(controlled, deployment, monkeypatch):
    monkeypatch.setenv("GLOCAL_ROLLOUT_S", "120")
    waits = threading.Event()

    def decide(pod):
        told = json.loads(pod["metadata"].get("annotations", {}).get(SERVED, "{}"))
        return told.get("photos", {}).get("version") == "1" or waits.is_set()

    with Node(controlled, deployment.namespace, lambda pod, address: Said(pod, address, decide)), deployment.loading() as loading:
        loading.load(deployment.stored("1"))
        stored = deployment.stored("2", seed=1)
        rolling = threading.Thread(target=loading.load, args=(stored,))
        rolling.start()
        until(lambda: deployment.served() == {"photos": "2"})
        controlled.stop_apiserver()
        with pytest.raises(Unavailable, match="does not answer"):
            Workload.chosen().declared()
        assert BACKEND.answers(deployment.home.serve) is False
        assert BACKEND.state(deployment.home.serve).healthy is False
        controlled.start_apiserver()
        waits.set()
        rolling.join(120)
        assert not rolling.is_alive()
        assert deployment.held() == {"photos": ["2"]}


def test_a_deployment_without_pods_is_not_waited_for_for_ever(cluster, deployment, monkeypatch):
    monkeypatch.setenv("GLOCAL_ROLLOUT_S", "3")
    cluster.scale(deployment.namespace, 0)
    with deployment.loading() as loading, pytest.raises(Unavailable, match="replicas is 0"):
        loading.load(deployment.stored("1"))


def test_what_cannot_be_reached_or_is_not_allowed_is_said_in_a_line(cluster, deployment, monkeypatch, tmp_path):
    monkeypatch.setenv("GLOCAL_DEPLOYMENT", "nothing")
    with pytest.raises(Forbidden, match=r"403.*glocal-deployer"):
        Workload.chosen().declared()
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    with pytest.raises(NotFound, match="no Deployment nothing"):
        BACKEND.ensure(deployment.home.serve)
    monkeypatch.setenv("KUBECONFIG", str(cluster.write_kubeconfig("expired", "no such token")))
    with pytest.raises(Forbidden, match="401"):
        Workload.chosen().declared()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    with pytest.raises(InvalidInput, match="No cluster is known"):
        Workload.chosen()


def test_what_somebody_wrote_by_hand_and_cannot_be_read_is_not_overwritten(cluster, deployment):
    patch = {"spec": {"template": {"metadata": {"annotations": {SERVED: "photos 3"}}}}}
    cluster.patch(cluster.deployment(deployment.namespace), patch)
    with deployment.loading() as loading, pytest.raises(InvalidInput, match="photos 3"):
        loading.load(deployment.stored("1"))
