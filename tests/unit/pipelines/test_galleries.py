"""Where a run that changes a gallery is executed. What it does is seen in tests/integration/test_enrolment.py."""

import pytest

from model.config import RunConfig
from model.environment import Environment
from model.errors import InvalidInput
from model.home import Home
from model.schemas.gallery import GalleryBase
from pipelines import galleries
from tests.support.encoded import blobs, encode

BASE = GalleryBase(model="mugs", version="1")


@pytest.fixture
def on_kubeflow(tmp_path):
    return Environment(home=Home(tmp_path / "home"), runner="kubeflow", tracking_uri="http://127.0.0.1:9")


def test_a_folder_of_this_machine_is_not_enrolled_on_a_cluster(on_kubeflow, tmp_path):
    with pytest.raises(InvalidInput, match="The nodes of the cluster do not see"):
        galleries.run_enrolment(
            str(tmp_path), BASE, RunConfig(), replace=False, environment=on_kubeflow, listener=print, why="new mugs"
        )
    assert not on_kubeflow.home.root.exists()


def test_images_that_were_sent_to_this_machine_are_enrolled_here(on_kubeflow, monkeypatch):
    monkeypatch.setattr(galleries, "choose_base", lambda *_: BASE)
    monkeypatch.setattr(galleries, "run_enrolment", lambda *_, environment, **__: environment.runner)
    sent = [("a.png", encode(blobs()))]
    assert galleries.enrol_images(sent, "mug", "mugs", environment=on_kubeflow, listener=print, why="new") == "local"
