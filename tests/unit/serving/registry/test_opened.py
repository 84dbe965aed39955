"""The record of runs as a process that answers requests opens it."""

import gc

from model.environment import Environment
from model.home import Home
from serving.registry.opened import warm_up


def test_the_garbage_collector_does_not_look_through_what_was_imported_for_the_record(tmp_path):
    known = gc.get_freeze_count()
    try:
        warm_up(Environment(home=Home.at(tmp_path / "home")))
        assert gc.get_freeze_count() > known
    finally:
        gc.unfreeze()
