"""How far the benchmark is, on standard error: a line for each finished cell."""

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.cells import Bench, Cell, train_cell

_EVERY = 10.0
"""Seconds between two lines about one cell."""


def say(text: str) -> None:
    """A line to the person who waits."""
    print(text, file=sys.stderr, flush=True)


@dataclass
class Pace:
    """Counts cells, and estimates the time left from those that were run.

    Attributes:
        total: Cells to come, known and new.
        done: Their files, behind.
        ran: Of these, how many were not there already.
    """

    total: int
    done: set[Path] = field(default_factory=set)
    ran: int = 0
    begun: float = field(default_factory=time.monotonic)
    told: float = field(default_factory=time.monotonic)

    def run(self, bench: Bench, cell: Cell) -> dict[str, Any]:
        """Train a cell, or read it where it is finished, and say so."""
        file = bench.file(cell, "trained.json")
        known, told = file.is_file(), file in self.done
        trained = train_cell(bench, cell, self.progress)
        self.done.add(file)
        self.ran += not known
        if told:
            return trained
        if known:
            text = "known"
        elif "error" in trained:
            text = trained["error"]
        else:
            text = f"validation MAP@R {trained['validation_map_at_r']:.4f}, {trained['seconds']:.1f} s"
        head = f"cell {len(self.done)} of {self.total}, {bench.name}: {cell.method} {cell.recipe} seed {cell.seed}"
        say(f"{head}: {text}; {self._time()}")
        return trained

    def progress(self, done: int, total: int, what: str) -> None:
        """Tell of long work within a cell, now and then."""
        if time.monotonic() - self.told >= _EVERY:
            self.told = time.monotonic()
            say(f"  {done} of {total} {what}")

    def _time(self) -> str:
        spent = (time.monotonic() - self.begun) / 60
        left = f", about {spent / self.ran * (self.total - len(self.done)):.1f} left" if self.ran else ""
        return f"{spent:.1f} min so far{left}"
