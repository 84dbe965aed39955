"""Huey's database of the queue, damaged under its consumer: what is queued is executed all the same."""

import os

import pytest

from model.home import Home
from pipelines.queue import tasks
from serving.processes import wait_until

DAMAGES = {
    "whole": lambda file: None,
    "removed": lambda file: file.unlink(),
    "emptied": lambda file: os.truncate(file, 0),
    "overwritten": lambda file: file.write_bytes(b"x" * 10_000),
}


@pytest.fixture
def queue(tmp_path):
    return Home.at(tmp_path).queue


@pytest.fixture
def executed():
    return []


@pytest.fixture
def consumer(queue, executed):
    queue.root.mkdir()
    made = tasks.Consumer(queue, executed.append, at_once=1)
    made.check_tasks([])
    made.start()
    yield made
    made.stop()


def is_executed(consumer, executed, identity):
    """Whether an order is executed once the worker has looked at the database, as it does every few seconds."""

    def looked():
        consumer.check_tasks([] if identity in executed else [identity])
        return identity in executed

    return wait_until(looked, deadline_s=60)


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_order_is_executed_whatever_became_of_the_database(queue, consumer, executed, damage):
    DAMAGES[damage](queue.tasks)
    tasks.put(queue, "one")
    assert is_executed(consumer, executed, "one")
    tasks.put(queue, "two")
    assert is_executed(consumer, executed, "two")


def test_an_order_that_never_came_into_the_database_is_executed(consumer, executed):
    """Its program was killed when it had kept the order and before it put it there."""
    assert is_executed(consumer, executed, "lost")


def test_a_whole_database_is_left_as_it_is(queue, consumer):
    inode = queue.tasks.stat().st_ino
    tasks.put(queue, "one")
    consumer.check_tasks([])
    assert queue.tasks.stat().st_ino == inode
