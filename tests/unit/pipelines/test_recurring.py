"""Whose clock starts recurring runs. What each does: queue/test_schedules.py, kubeflow/test_recurring.py."""

import pytest

from model.environment import Environment
from model.home import Home
from pipelines import recurring
from pipelines.kubeflow import recurring as kubeflow


@pytest.mark.parametrize(
    ("machine", "schedule", "by_kubeflow"),
    [
        ("local", "", False),
        ("docker", "", False),
        ("kubeflow", "", True),
        ("kubeflow", "local", False),
        ("local", "kubeflow", True),
    ],
)
def test_the_clock_is_that_of_the_runner_a_schedule_names_else_of_the_machines(tmp_path, machine, schedule, by_kubeflow):
    environment = Environment(home=Home.at(tmp_path), runner=machine)
    assert (recurring.clock_of(environment.run_by(schedule)) is kubeflow) is by_kubeflow
