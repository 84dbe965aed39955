"""The endpoint in the foreground, where no server needs to run. With one: tests/integration/test_foreground.py."""

import subprocess
import sys

from model.home import Home
from serving.gateway import check


def test_nothing_answers_in_a_home_without_an_endpoint(tmp_path):
    assert not check.answers(Home.at(tmp_path))


def test_it_needs_neither_registry_nor_pipelines(tmp_path):
    blocked = (
        "import sys; sys.modules.update(dict.fromkeys(['mlflow', 'kfp', 'dvc', 'boto3', 'botocore'])); import serving.foreground"
    )
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
