"""What the package declares that it needs is what it imports."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("model", "serving", "components", "pipelines", "dashboard", "benchmarks")


def name(requirement):
    return re.split(r"[\[<>=]", requirement)[0].lower().replace("_", "-")


def imported(packages):
    """The outside packages that a part of the tree imports, each with the distributions that it may come from."""
    known, found = packages_distributions(), set()
    for file in (each for package in packages for each in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    outside = found - set(sys.stdlib_module_names) - set(PACKAGES) - {"tests"}
    return {each: {name(distribution) for distribution in known.get(each, [each])} for each in outside}


def test_no_core_dependency_is_never_imported():
    needed_by_others = {"pyopenssl"}  # model-signing imports it and does not declare it
    assert {name(each) for each in PROJECT["dependencies"]} - needed_by_others <= set().union(*imported(PACKAGES).values())


def test_whatever_is_imported_is_declared():
    declared = {name(each) for part in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()) for each in part}
    declared |= {
        "botocore",
        "dvc-data",
        "dvc-objects",
        "pygit2",
        "kfp-kubernetes",
        "kfp-server-api",
        "urllib3",
        "pydantic-core",
        "grpcio",
        "sqlalchemy",
        "anyio",
    }  # come with their parents
    assert [each for each, distributions in imported(PACKAGES).items() if not distributions & declared] == []


@pytest.mark.parametrize("extra", ["train", "serve", "dashboard", "cluster", "dev"])
def test_every_use_has_an_extra_and_all_of_it_is_locked(extra):
    lock = (ROOT / "requirements.lock").read_text()
    for requirement in PROJECT["optional-dependencies"][extra]:
        assert re.search(rf"(?im)^{re.escape(name(requirement))}==", lock), requirement


def test_the_lock_holds_no_address_of_a_registry():
    assert "://" not in (ROOT / "requirements.lock").read_text()


def test_the_hooks_before_a_commit_are_local():
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"- repo: (\S+)", text) == ["local"]
