"""What the compose file promises. That it runs is seen in tests/containers."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from model.containers import Images

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "infra" / "compose" / "compose.yaml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
LASTING = {name: each for name, each in SERVICES.items() if name != "bucket"}  # it ends once the bucket is there


def test_all_parts_are_services():
    assert set(SERVICES) == {"postgres", "objects", "bucket", "mlflow", "endpoint", "dashboard", "worker"}


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_published_is_published_on_loopback_alone(name):
    assert all(str(port).startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))
    assert SERVICES[name].get("network_mode") in {None, "none", "service:endpoint"}


@pytest.mark.parametrize("name", LASTING)
def test_every_lasting_service_has_a_health_check_and_comes_back(name):
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_has_rights_a_writable_root_or_unbounded_memory(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert not {"privileged", "cap_add", "devices"} & service.keys()
    assert "docker.sock" not in str(service)
    assert str(service.get("user", "1000")).partition(":")[0] not in {"0", "root"}


@pytest.mark.parametrize("name", SERVICES)
def test_state_lies_in_named_volumes_and_folders_of_the_host_are_read_only(name):
    for volume in SERVICES[name].get("volumes", []):
        source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume)
        assert source.split(":")[0] in COMPOSE["volumes"] or source.endswith(":ro"), volume


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_a_setting_with_a_tag(name):
    image = re.fullmatch(r"\$\{(GLOCAL_\w+_IMAGE|GLOCAL_IMAGE):-(.+:.+)\}", SERVICES[name]["image"])
    assert image, SERVICES[name]["image"]
    assert not image[2].endswith(":latest")


def test_the_project_s_images_have_the_names_of_the_settings():
    used = {re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", each["image"]) for each in SERVICES.values()}
    assert set(Images.model_construct().model_dump().values()) <= used


def test_no_password_has_a_default():
    for name in ("POSTGRES_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        uses = re.findall(rf"\$\{{{name}[^}}]*\}}", TEXT)
        assert uses
        assert all(use.startswith(f"${{{name}:?") for use in uses)


def test_only_the_profile_gpu_asks_for_a_gpu():
    asking = {name for name, each in SERVICES.items() if "deploy" in each}
    assert asking == {name for name, each in SERVICES.items() if each.get("profiles") == ["gpu"]} == {"worker"}


@pytest.mark.parametrize("profile", ["", "gpu"])
def test_compose_itself_takes_the_file(profile):
    plugin = shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if plugin and plugin.returncode == 0:
        command = ["docker", "compose"]
    elif standalone := shutil.which("docker-compose"):
        command = [standalone]
    else:
        pytest.skip("There is no docker compose here.")
    passwords = dict.fromkeys(("POSTGRES_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "x")
    profiles = ["--profile", profile] if profile else []
    file = ["--file", str(ROOT / "infra" / "compose" / "compose.yaml")]
    done = subprocess.run(
        [*command, *file, *profiles, "config", "--quiet"], env=os.environ | passwords, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
