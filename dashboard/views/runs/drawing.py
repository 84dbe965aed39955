"""Where the parts of a run's drawings stand: the graph of its steps, and when each was executed. Templates draw them as SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.run_steps import Attempt, RunStep, StepState

NODE_WIDTH, NODE_HEIGHT = 106, 52
_GAP_X, _GAP_Y = 22, 18
_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400, 7 * 86400)
_MOST_TICKS = 3
_NARROWEST = 1.0
"""Percent of the run that a bar takes at least, so that it is seen."""


@dataclass(frozen=True)
class Node:
    """A step in the graph: its left and upper corner, in units of the drawing."""

    step: RunStep
    x: int
    y: int


@dataclass(frozen=True)
class Graph:
    """The graph of a pipeline's steps.

    Attributes:
        width: Width of the drawing.
        height: Height of the drawing.
        nodes: The steps.
        edges: Paths from one step to the next, as SVG has them.
    """

    width: int
    height: int
    nodes: tuple[Node, ...]
    edges: tuple[str, ...]


@dataclass(frozen=True)
class Bar:
    """One attempt of a step: its begin and its length, in percent of the run, its state and its seconds."""

    x: float
    width: float
    state: StepState
    seconds: float


@dataclass(frozen=True)
class Timeline:
    """When the steps of a run were executed.

    Attributes:
        bars: The attempts of each step that was executed, by its name.
        ticks: Places in percent of the run, and the seconds since its begin that they stand for.
    """

    bars: dict[str, tuple[Bar, ...]]
    ticks: tuple[tuple[float, int], ...]


def graph_of(steps: Sequence[RunStep]) -> Graph:
    """Steps from left to right, each right of those that it waits for."""
    column: dict[str, int] = {}
    for step in steps:  # they come after those that they wait for
        column[step.name] = 1 + max((column.get(name, -1) for name in step.after), default=-1)
    filled: dict[int, int] = {}
    nodes: dict[str, Node] = {}
    for step in steps:
        place = column[step.name]
        row = filled.get(place, 0)
        filled[place] = row + 1
        nodes[step.name] = Node(step, place * (NODE_WIDTH + _GAP_X) + 1, row * (NODE_HEIGHT + _GAP_Y) + 1)
    edges = tuple(_edge(nodes[name], nodes[step.name]) for step in steps for name in step.after if name in nodes)
    width = (max(column.values(), default=0) + 1) * (NODE_WIDTH + _GAP_X) - _GAP_X + 2
    return Graph(width, max(filled.values(), default=1) * (NODE_HEIGHT + _GAP_Y) - _GAP_Y + 2, tuple(nodes.values()), edges)


def timeline_of(steps: Sequence[RunStep], began: float, now: float) -> Timeline:
    """The attempts of each step over the time since the run began.

    Args:
        steps: The steps.
        began: Begin of the run, in seconds since 1970.
        now: End of the run, or the present.
    """
    executed = [step for step in steps if step.attempts]
    began = min([began, *(step.attempts[0].began for step in executed)])
    whole = max(1.0, max([now, *(each.ended or 0 for step in executed for each in step.attempts)]) - began)

    def bar(attempt: Attempt) -> Bar:
        seconds = (now if attempt.ended is None else attempt.ended) - attempt.began
        width = max(_NARROWEST, 100 * seconds / whole)
        return Bar(min(100 * (attempt.began - began) / whole, 100 - width), width, attempt.state, seconds)

    pace = next((each for each in _TICKS if whole / each <= _MOST_TICKS), math.ceil(whole / _MOST_TICKS))
    ticks = tuple((100 * at / whole, at) for at in range(0, int(whole) + 1, pace))
    return Timeline({step.name: tuple(map(bar, step.attempts)) for step in executed}, ticks)


def _edge(before: Node, after: Node) -> str:
    x, y = before.x + NODE_WIDTH, before.y + NODE_HEIGHT // 2
    to_x, to_y = after.x - 6, after.y + NODE_HEIGHT // 2
    middle = to_x - _GAP_X / 2 + 3
    return f"M{x} {y} H{middle} V{to_y} H{to_x}" if y != to_y else f"M{x} {y} H{to_x}"
