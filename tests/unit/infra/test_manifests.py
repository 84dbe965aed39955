"""The manifests of the cluster: every overlay renders, is valid by Kubernetes' own schemas, and holds to our policy."""

import json
import os
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

from model.cluster import CONFIG
from tests.support import cluster
from tests.support.cluster import asset

ROOT = Path(__file__).parents[3] / "infra" / "kubernetes"
OVERLAYS = sorted(folder.name for folder in (ROOT / "overlays").iterdir())
rendered = cache(cluster.rendered)
TRAINING = {"jobset.sigs.k8s.io/jobset-name": "trainer"}
STEP = {"pipelines.kubeflow.org/v2_component": "true"}


@pytest.fixture(params=OVERLAYS)
def overlay(request):
    return request.param


@pytest.fixture
def documents(overlay):
    return rendered(overlay)


def of(documents, *kinds):
    return [each for each in documents if each["kind"] in kinds]


def pods(documents):
    """Name and specification of every pod."""
    found = {}
    for each in of(documents, "Deployment", "StatefulSet", "Job", "DaemonSet", "InferenceService"):
        spec = each["spec"]["predictor"] if each["kind"] == "InferenceService" else each["spec"]["template"]["spec"]
        found[each["metadata"]["name"]] = spec
    return found


def containers(documents):
    return [
        (f"{name}/{each['name']}", each)
        for name, pod in pods(documents).items()
        for each in (*pod.get("initContainers", ()), *pod["containers"])
    ]


def selects(policy, labels):
    selector = policy["spec"]["podSelector"]
    expressions = selector.get("matchExpressions", ())
    assert all(each["operator"] == "Exists" for each in expressions)
    matches = selector.get("matchLabels", {}).items() <= labels.items()
    return matches and all(each["key"] in labels for each in expressions)


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_renders_and_nothing_is_declared_twice(name):
    documents = rendered(name)
    ids = [(each["apiVersion"], each["kind"], each["metadata"]["name"]) for each in documents]
    assert len(ids) == len(set(ids)) > 20
    assert {each["metadata"].get("namespace") for each in documents if each["kind"] != "Namespace"} == {
        "kubeflow" if name == "single-node" else "glocal"
    }


def conform(documents):
    """What kubeconform says of documents, by the schemas that infra/kubernetes/schemas.py wrote."""
    schemas = asset("schemas") + "/{{.ResourceKind}}{{.KindSuffix}}.json"
    command = [asset("kubeconform"), "-strict", "-summary", "-output", "json", "-schema-location", schemas]
    given = yaml.safe_dump_all(documents)
    return json.loads(subprocess.run(command, input=given, capture_output=True, text=True, check=False).stdout)


def test_an_overlay_is_valid_by_the_schemas_of_kubernetes(documents):
    result = conform(documents)
    assert result["resources"] == [], result
    assert result["summary"] == {"valid": len(documents), "invalid": 0, "errors": 0, "skipped": 0}


def test_a_field_that_there_is_not_and_a_value_of_another_kind_are_found():
    def said(**changes):
        document = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "s"},
            "spec": {"ports": [{"port": 80, **changes}]},
        }
        return [each["msg"] for each in conform([document])["resources"]]

    assert said() == []
    assert "additional properties 'prot' not allowed" in said(prot=1)[0]
    assert "want integer" in said(port="80")[0] or "got string" in said(port="80")[0]


def test_no_container_is_root_or_may_become_it_or_writes_to_its_image(documents):
    for name, pod in pods(documents).items():
        settings = pod["securityContext"]
        assert settings["runAsNonRoot"] is True, name
        assert min(settings["runAsUser"], settings["runAsGroup"]) > 0, name
        assert settings["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & pod.keys(), name
        assert all(not {"hostPath"} & volume.keys() for volume in pod.get("volumes", ())), name
        assert all("sizeLimit" in volume["emptyDir"] for volume in pod.get("volumes", ()) if "emptyDir" in volume), name
    for name, each in containers(documents):
        settings = each["securityContext"]
        assert settings == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert not any(port.get("hostPort") for port in each.get("ports", ())), name


def test_every_container_has_requests_and_limits(documents):
    for name, each in containers(documents):
        for bound in ("requests", "limits"):
            assert {"cpu", "memory"} <= each["resources"][bound].keys(), (name, bound)


def test_every_image_has_a_tag_and_none_is_the_latest(documents):
    for name, each in containers(documents):
        assert re.fullmatch(r"[a-z0-9./-]+(:(?!latest)[\w][\w.-]*)(@sha256:[0-9a-f]{64})?", each["image"]), (name, each["image"])


def test_every_container_that_stays_has_three_probes(documents):
    for name, pod in pods(documents).items():
        for each in pod["containers"]:
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= each.keys(), name


def test_no_right_is_a_wildcard_and_none_is_of_the_whole_cluster(documents):
    assert not of(documents, "ClusterRole", "ClusterRoleBinding")
    roles = of(documents, "Role")
    assert roles
    for role in roles:
        for rule in role["rules"]:
            assert not any("*" in part for part in rule.values())
            assert not {"pods/exec", "serviceaccounts/token", "roles", "rolebindings"} & set(rule["resources"])
            assert not {"deletecollection", "escalate", "bind", "impersonate"} & set(rule["verbs"])
            if {"secrets", "configmaps", "deployments"} & set(rule["resources"]):
                assert rule["resourceNames"]
                assert set(rule["verbs"]) <= {"get", "patch"}
            if {"create", "delete"} & set(rule["verbs"]):
                assert set(rule["resources"]) <= {"workflowtaskresults", "trainjobs"}


def test_only_who_promotes_has_a_token_of_the_cluster(documents):
    bound = {each["name"] for binding in of(documents, "RoleBinding") for each in binding["subjects"]}
    for account in of(documents, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is (account["metadata"]["name"] == "glocal-steps")
    for name, pod in pods(documents).items():
        assert pod["automountServiceAccountToken"] is (name == "glocal-dashboard"), name
        assert not pod["automountServiceAccountToken"] or pod["serviceAccountName"] in bound


def test_each_kind_of_pod_has_an_account_of_its_own(documents):
    accounts = [pod["serviceAccountName"] for pod in pods(documents).values()]
    declared = {each["metadata"]["name"] for each in of(documents, "ServiceAccount")}
    assert len(accounts) == len(set(accounts))
    assert set(accounts) <= declared


def test_whatever_is_not_let_in_or_out_is_denied(documents):
    policies = of(documents, "NetworkPolicy")
    denies = [each for each in policies if set(each["spec"]["policyTypes"]) == {"Ingress", "Egress"}]
    everything = next(each for each in policies if each["metadata"]["name"] == "default-deny")
    assert everything["spec"].keys() == {"podSelector", "policyTypes"}
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in of(documents, "Deployment", "StatefulSet")]
    for each in (*labels, STEP, TRAINING):
        assert any(selects(policy, each) for policy in denies), each
    for policy in policies:
        for rule in policy["spec"].get("ingress", ()) or ():
            assert (rule.get("from") and rule.get("ports")) or policy["metadata"]["name"] == "glocal-training", policy[
                "metadata"
            ]["name"]
        for rule in policy["spec"].get("egress", ()) or ():
            assert rule.get("to") or rule.get("ports"), policy["metadata"]["name"]


def test_a_secret_is_named_and_never_written_down(documents):
    assert not of(documents, "Secret")
    for _, each in containers(documents):
        for variable in each.get("env", ()):
            secret = re.search(r"password|secret|token|_key$", variable["name"], re.I)
            assert not secret or "valueFrom" in variable or variable["value"].startswith("/"), variable
    settings = next(each for each in of(documents, "ConfigMap"))
    assert not [name for name in settings["data"] if re.search("password|secret|key", name, re.I)]


def test_the_server_of_models_has_no_port_and_the_gateway_one(documents):
    (endpoint,) = pods(documents)["glocal-serve"]["containers"]
    assert endpoint["ports"] == [{"name": "http", "containerPort": 8080}]
    service = next(each for each in of(documents, "Service") if each["metadata"]["name"] == "glocal-serve")
    assert [each["port"] for each in service["spec"]["ports"]] == [8080]


def test_a_rollout_takes_no_pod_away_before_another_is_ready_and_a_pod_that_ends_answers_first(documents):
    for each in of(documents, "Deployment"):
        if each["metadata"]["name"] != "glocal-serve":
            continue
        assert each["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
        assert "replicas" not in each["spec"]  # the autoscaler's
        assert each["spec"]["progressDeadlineSeconds"] < 900  # the deployer's own patience: GLOCAL_ROLLOUT_S
    pod = pods(documents)["glocal-serve"]
    drain = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > drain + 40  # the gateway's patience with requests under way


def test_what_is_served_is_not_named_by_the_manifests(documents):
    """Else applying them again would roll back what was promoted since."""
    for each in of(documents, "Deployment"):
        assert "glocal.io/served" not in each["spec"]["template"]["metadata"].get("annotations", {})


def test_what_is_referred_to_is_there(documents):
    """A config map, a claim and an account that a pod names; secrets are made by hand, and documented."""
    known = {(each["kind"], each["metadata"]["name"]) for each in documents}
    text = (ROOT.parents[1] / "docs" / "operations.md").read_text()
    for name, pod in pods(documents).items():
        assert ("ServiceAccount", pod["serviceAccountName"]) in known
        named = yaml.safe_dump(pod)
        for found in re.findall(r"(?:configMapKeyRef|configMapRef):\s+(?:key: \S+\s+)?name: (\S+)", named):
            assert ("ConfigMap", found) in known, (name, found)
        for found in re.findall(r"claimName: (\S+)", named):
            assert ("PersistentVolumeClaim", found) in known, (name, found)
        for found in re.findall(r"(?:secretKeyRef|secretRef):\s+(?:key: \S+\s+)?name: (\S+)|secretName: (\S+)", named):
            assert f"`{next(filter(None, found))}`" in text, found


def test_what_mlflow_keeps_its_records_in_is_in_the_overlay_or_it_is_let_out_to_it(documents):
    inside = {"glocal-database", "glocal-object-store"} <= {each["metadata"]["name"] for each in of(documents, "StatefulSet")}
    policy = next(each for each in of(documents, "NetworkPolicy") if each["metadata"]["name"] == "glocal-tracking")
    assert inside != any("to" not in rule for rule in policy["spec"]["egress"])


def test_the_same_pod_runs_under_kserve():
    def spec(overlay):
        return pods(rendered(overlay))["glocal-serve"]

    assert spec("kserve") == spec("../base")
    assert not [
        each
        for each in rendered("kserve")
        if each["kind"] in {"Deployment", "HorizontalPodAutoscaler"} and each["metadata"]["name"] == "glocal-serve"
    ]


def test_a_namespace_that_others_share_is_not_closed_to_them():
    documents = rendered("single-node")
    assert not of(documents, "Namespace", "ResourceQuota", "LimitRange")
    for policy in of(documents, "NetworkPolicy"):
        assert policy["spec"]["podSelector"], policy["metadata"]["name"]
        assert not selects(policy, {"app": "ml-pipeline"})


def test_with_milvus_the_pods_that_serve_know_it_and_may_ask_it(tmp_path):
    components = [os.path.relpath(ROOT / "components" / "milvus", tmp_path)]
    overlay = {"resources": [os.path.relpath(ROOT / "base", tmp_path)], "components": components}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    documents = rendered(tmp_path)
    (endpoint,) = pods(documents)["glocal-serve"]["containers"]
    assert {"GLOCAL_MILVUS_URI", "GLOCAL_MILVUS_TOKEN"} <= {each["name"] for each in endpoint["env"]}
    settings = next(iter(of(documents, "ConfigMap")))
    assert "GLOCAL_MILVUS_URI" in settings["data"].keys() & set(CONFIG)  # which steps take from it
    assert conform(documents)["summary"]["invalid"] == 0


def test_trainings_may_ask_for_gpus_and_what_serves_asks_for_none():
    quota = next(iter(of(rendered("gpu"), "ResourceQuota")))
    assert quota["spec"]["hard"]["requests.nvidia.com/gpu"] == "8"
    assert all("nvidia.com/gpu" not in each["resources"]["limits"] for _, each in containers(rendered("gpu")))
