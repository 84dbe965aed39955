"""A server of models is named in its own folder, where it is registered, and where it is offered as a choice."""

import re
from pathlib import Path

import pytest

from model.environment import Environment
from serving import backends

ROOT = Path(__file__).parents[4]
ELSEWHERE = {"serving/backends/__init__.py", "model/environment.py"}
KFPS = "kubernetes"
"""Also the name of KFP's extension, by which the pipelines say what steps require of a cluster."""


@pytest.mark.parametrize("name", backends.ADAPTERS)
def test_no_other_module_names_a_server_of_models(name):
    files = [file for room in ("model", "serving", "components", "pipelines") for file in (ROOT / room).rglob("*.py")]
    assert len(files) > 100
    named = {file.relative_to(ROOT).as_posix() for file in files if re.search(name, file.read_text(encoding="utf-8"), re.I)}
    allowed = (f"serving/backends/{name}/", *(("pipelines/", "components/", "model/cluster.py") if name == KFPS else ()))
    assert {file for file in named if not file.startswith(allowed)} == ELSEWHERE


def test_every_adapter_can_be_chosen_and_has_its_own_name(monkeypatch):
    for name in backends.ADAPTERS:
        monkeypatch.setenv("GLOCAL_BACKEND", name)
        assert backends.chosen().name == Environment().backend == name
