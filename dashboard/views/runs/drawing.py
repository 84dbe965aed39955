"""Where the parts of a run's drawings stand: the graph of its steps, and their timeline. The templates draw them as SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.run_steps import RunStep, StepState

NODE_WIDTH, NODE_HEIGHT = 106, 52
_GAP_X, _GAP_Y = 22, 18
_ROW, _LABELS, _CHART, _RIGHT = 26, 120, 720, 80
_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400, 7 * 86400)
_MOST_TICKS = 8


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
    """One attempt in the timeline: its left end and its width."""

    x: float
    width: float
    state: StepState
    seconds: float


@dataclass(frozen=True)
class Row:
    """One step in the timeline: its middle, its attempts, and the place for its duration."""

    step: RunStep
    y: int
    bars: tuple[Bar, ...]
    end: float


@dataclass(frozen=True)
class Timeline:
    """The timeline of a run's steps.

    Attributes:
        width: Width of the drawing.
        height: Height of the drawing.
        rows: The steps that were executed.
        ticks: Places and times since the begin of the run, in seconds.
    """

    width: int
    height: int
    rows: tuple[Row, ...]
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

    def place(at: float) -> float:
        return _LABELS + _CHART * (at - began) / whole

    rows = []
    for number, step in enumerate(executed):
        ends = [now if each.ended is None else each.ended for each in step.attempts]
        bars = tuple(
            Bar(place(each.began), max(3.0, place(end) - place(each.began)), each.state, end - each.began)
            for each, end in zip(step.attempts, ends, strict=True)
        )
        rows.append(Row(step, number * _ROW + _ROW // 2, bars, bars[-1].x + bars[-1].width + 6))
    pace = next((each for each in _TICKS if whole / each <= _MOST_TICKS), math.ceil(whole / _MOST_TICKS))
    ticks = tuple((place(began + at), at) for at in range(0, int(whole) + 1, pace))
    return Timeline(_LABELS + _CHART + _RIGHT, len(rows) * _ROW + 24, tuple(rows), ticks)


def _edge(before: Node, after: Node) -> str:
    x, y = before.x + NODE_WIDTH, before.y + NODE_HEIGHT // 2
    to_x, to_y = after.x - 6, after.y + NODE_HEIGHT // 2
    middle = to_x - _GAP_X / 2 + 3
    return f"M{x} {y} H{middle} V{to_y} H{to_x}" if y != to_y else f"M{x} {y} H{to_x}"
