"""The step `version`, called as Kubeflow's page starts it: with a source and all defaults."""

import pytest

from components.version import version
from tests.support.datasets import draw_view

pytestmark = pytest.mark.integration


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder of images, in a process whose home is beside it."""
    monkeypatch.setenv("GLOCAL_HOME", str(tmp_path / "home"))
    for label in range(5):
        for view in range(2):
            file = tmp_path / "shop" / f"class {label}" / f"{view}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(draw_view(label, view))
    return tmp_path / "shop"


def test_without_a_name_the_data_set_is_called_after_its_folder_and_a_version_keeps_its_own(shop):
    pin = version.python_func(source=str(shop), name="", data={})
    assert pin["path"] == "shop"
    assert version.python_func(source=f"shop@{pin['rev']}", name="", data={}) == pin
