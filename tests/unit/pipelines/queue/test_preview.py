"""Plans: bounded in number, as each takes a process of KFP."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from model.config import parse_config
from model.environment import Environment
from model.errors import Overloaded
from model.home import Home
from pipelines.queue import preview as previews
from serving.processes import wait_until
from tests.support.lineage import NAME, pin_drawn


def test_one_plan_is_made_at_a_time_few_wait_and_more_are_refused(tmp_path, monkeypatch):
    home = Home.at(tmp_path / "home")
    pin = pin_drawn(home, tmp_path)
    begun, go = [], threading.Event()

    def forecast(*_):
        begun.append(threading.get_ident())
        go.wait(30)
        return {}

    def plan():
        return previews.preview(f"{NAME}@{pin.rev}", "", parse_config({}), Environment(home=home))

    monkeypatch.setattr(previews, "forecast", forecast)
    monkeypatch.setattr(previews, "_last", lambda *_: None)
    with ThreadPoolExecutor(previews.WAITING) as pool:
        plans = [pool.submit(plan) for _ in range(previews.WAITING)]
        assert wait_until(lambda: previews._room._value == 0, deadline_s=20)
        with pytest.raises(Overloaded, match="Several plans"):
            plan()
        assert len(begun) == 1
        go.set()
        assert [len(each.result().steps) > 3 for each in plans] == [True] * previews.WAITING
    assert len(begun) == previews.WAITING
    assert plan().steps
