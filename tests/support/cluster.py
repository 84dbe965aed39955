"""The tools of Kubernetes that the tests use, in the folder KUBE_ASSETS or on the path; `make kube-assets` builds them."""

import os
import shutil
from pathlib import Path

import pytest

ASSETS = Path(os.environ.get("KUBE_ASSETS", Path(__file__).parents[2] / ".kube-assets"))
HOW = "make kube-assets builds it where there is Go; KUBE_ASSETS names its folder"


def asset(name):
    """A tool, or a folder of schemas; the test is skipped, saying why, where it is not there."""
    if (ASSETS / name).exists():
        return str(ASSETS / name)
    if found := shutil.which(name):
        return found
    return pytest.skip(f"there is no {name}: {HOW}")
