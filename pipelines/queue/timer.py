"""The worker's clock: APScheduler fires the schedules of a home, as their files are now."""

from pathlib import Path

from apscheduler.schedulers.background import BackgroundScheduler

from model.environment import Environment
from model.schemas.schedule import Schedule
from pipelines.queue.schedules import fire, stored_schedules, trigger_of

_LOOK_S = 2.0


class Timer:
    """Fires the schedules of a home for a block.

    A time at which no worker lives is left out. One at which the machine sleeps is made up for once when it wakes.

    Args:
        environment: The home and its schedules.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._scheduler = BackgroundScheduler(job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None})
        self._known: dict[str, Schedule] = {}
        self._seen: dict[Path, int] = {}

    def __enter__(self) -> "Timer":
        self._look()
        self._scheduler.add_job(self._look, "interval", seconds=_LOOK_S)
        self._scheduler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._scheduler.shutdown(wait=False)

    def _look(self) -> None:
        """Fire what the files say now: new, changed, paused and removed schedules."""
        seen = {file: file.stat().st_mtime_ns for file in self._environment.home.queue.schedules.glob("*.json")}
        if seen == self._seen:
            return
        self._seen = seen
        wanted = {each.id: each for each in stored_schedules(self._environment.home.queue) if not each.paused}
        for name in [name for name, known in self._known.items() if wanted.get(name) != known]:
            self._scheduler.remove_job(name)
            del self._known[name]
        for name in wanted.keys() - self._known.keys():
            self._scheduler.add_job(fire, trigger_of(wanted[name]), (self._environment, wanted[name]), id=name)
            self._known[name] = wanted[name]
