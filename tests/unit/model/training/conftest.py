import pytest

from model.training.train import train
from tests.support.datasets import make_dataset
from tests.support.training import MD5, MODEL, MODES, settings


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def whole(dataset, tmp_path_factory):
    """An uninterrupted training of each mode: its report and its folder."""
    done = {}
    for mode in MODES:
        work = tmp_path_factory.mktemp(mode)
        report = train(dataset, MODEL, settings(mode), data_md5=MD5, work=work / "work", out=work / "out")
        done[mode] = report, work / "out"
    return done
