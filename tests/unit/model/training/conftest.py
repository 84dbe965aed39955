import pytest

from model.training.train import train
from tests.support.datasets import make_dataset
from tests.support.training import CLASSES, MD5, MODEL, MODES, SELECTING, on_folds, settings, small_heads, stages_of_steps


@pytest.fixture
def small():
    """Heads whose whitening is quick, for one test."""
    with small_heads():
        yield


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def whole(dataset, tmp_path_factory):
    """An uninterrupted training of each mode: its report and its folder."""
    done = {}
    for mode in MODES:
        work = tmp_path_factory.mktemp(mode)
        with small_heads():
            report = train(dataset, MODEL, settings(mode), data_md5=MD5, work=work / "work", out=work / "out")
        done[mode] = report, work / "out"
    return done


@pytest.fixture(scope="session")
def larger(tmp_path_factory):
    """A data set of eight classes to train on."""
    return make_dataset(tmp_path_factory.mktemp("larger"), splits=CLASSES)


@pytest.fixture(scope="session")
def noted(larger, tmp_path_factory):
    """An uninterrupted training with a race, folds and a training on all classes; and the stage of each of its steps."""
    work = tmp_path_factory.mktemp("selected")
    with small_heads(), pytest.MonkeyPatch.context() as patch:
        stages = stages_of_steps(patch)
        report = train(larger, SELECTING, on_folds(), data_md5=MD5, work=work / "work", out=work / "out")
    return (report, work / "out"), stages


@pytest.fixture(scope="session")
def selected(noted):
    """The report and the folder of a training on folds."""
    return noted[0]


@pytest.fixture(scope="session")
def stages(noted):
    """The stage of each of its steps, in order."""
    return noted[1]
