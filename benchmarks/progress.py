"""Progress of the benchmark on standard error: a line for each finished trial."""

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.trials import Bench, Trial, train_trial
from model.progress import progress_text

_EVERY = 10.0
"""Seconds between two lines about a running trial."""


def say(text: str) -> None:
    """Print a line on standard error."""
    print(text, file=sys.stderr, flush=True)


@dataclass
class TrialProgress:
    """Counts trials, and estimates the remaining time from the trials that ran.

    Attributes:
        total: Number of trials, stored and new.
        done: Files of the finished trials.
        ran: Number of finished trials that were not stored before.
        began: When the benchmark began, by the monotonic clock.
        printed: When the last line about a running trial was printed.
    """

    total: int
    done: set[Path] = field(default_factory=set)
    ran: int = 0
    began: float = field(default_factory=time.monotonic)
    printed: float = field(default_factory=time.monotonic)

    def run(self, bench: Bench, trial: Trial) -> dict[str, Any]:
        """Train a trial, or read its stored result, and print a line about it."""
        file = bench.file(trial, "trained.json")
        known, printed = file.is_file(), file in self.done
        trained = train_trial(bench, trial, self.progress)
        self.done.add(file)
        self.ran += not known
        if printed:
            return trained
        if known:
            text = "known"
        elif "error" in trained:
            text = trained["error"]
        else:
            figure = f"held-out MAP@R {trained['validation_map_at_r']:.4f}, " if trained["validation_classes"] else ""
            text = f"{figure}{trained['seconds']:.1f} s"
        head = f"trial {len(self.done)} of {self.total}, {bench.name}: {trial.method} seed {trial.seed}"
        say(f"{head}: {text}; {self._time()}")
        return trained

    def progress(self, done: int, total: int, what: str) -> None:
        """Print the progress of a running trial, at most every ten seconds."""
        if time.monotonic() - self.printed >= _EVERY:
            self.printed = time.monotonic()
            say(f"  {progress_text(done, total, what)}")

    def _time(self) -> str:
        spent = (time.monotonic() - self.began) / 60
        left = f", about {spent / self.ran * (self.total - len(self.done)):.1f} left" if self.ran else ""
        return f"{spent:.1f} min so far{left}"
