"""How quick the dashboard's pages are with a long record, and whether what they cost stays the same.

    python -m benchmarks.dashboard --json

A home gets 1,000 runs and 200 versions (`benchmarks.dashboard_store`). Seconds are from the request to the first paint in a real
Chromium, the median of several openings; queries are the SQL statements of one opening. Memory is that of the dashboard's process
after 100 and after 1,000 openings of all its pages in turn.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import httpx
import psutil
import typer
from fastapi.routing import iter_route_contexts
from playwright.sync_api import sync_playwright
from sqlalchemy import event
from sqlalchemy.engine import Engine
from starlette.testclient import TestClient

from benchmarks.dashboard_store import multiply
from benchmarks.progress import say
from dashboard.app import make_app
from dashboard.security.people import Role
from dashboard.security.sessions import Sessions
from model.environment import Environment
from model.files import read_json, read_mapping
from model.home import Home
from pipelines.actions.action import API
from serving.processes import end_processes, wait_until
from serving.registry.models import registered_versions
from serving.registry.runs import Runs

_NOT_PAGES = ("/static", "/healthz", "/oidc", "/enter", "/leave", API)
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


def make_home(folder: Path) -> Home:
    """A home in which a run has registered a version."""
    glocal, data = [sys.executable, "-m", "pipelines.cli"], folder / "catalogue"
    environment = {**os.environ, "GLOCAL_HOME": str(folder / "home")}
    run = [*glocal, "run", str(data), "--name", "demo", "--set", "train.epochs=1"]
    for command in ([*glocal, "data", "demo", str(data)], run, [*glocal, "serve", "stop"]):
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return Home.at(folder / "home")


def copied(home: Path, to: Path) -> Home:
    """A copy of a home, without what only its running servers have."""
    return Home.at(shutil.copytree(home, to, symlinks=True, ignore=shutil.ignore_patterns("*.lock", "tmp", "work", "state.json")))


def pages_of(environment: Environment) -> list[str]:
    """The address of every page, with the newest run, version and data set in place of what it names."""
    run = Runs(environment.mlflow_uri).runs(1)[0]
    _, version = next(registered_versions(environment.mlflow_uri))
    named = {"run": run.id, "run_id": run.id, "name": version.model, "model": version.model, "version": version.version}
    found = set()
    for route in iter_route_contexts(make_app(environment, address="http://127.0.0.1:1").routes):
        path = str(route.path)
        if "GET" in (route.methods or ()) and not path.startswith(_NOT_PAGES):
            names = re.findall(r"{(\w+)(?::path)?}", path)
            if all(name in named for name in names):
                found.add(re.sub(r"{(\w+)(?::path)?}", lambda part: named[part[1]], path))
    return sorted(found)


class Statements:
    """Counts the SQL statements of this process."""

    def __init__(self) -> None:
        self.count = 0
        event.listen(Engine, "before_cursor_execute", self._counted)

    def _counted(self, *_: Any) -> None:
        self.count += 1


def queries_of(environment: Environment, pages: list[str], statements: Statements) -> dict[str, int]:
    """SQL statements of each page, once it has been opened before."""
    app = make_app(environment, address="http://127.0.0.1:1")
    client = TestClient(app, base_url="http://127.0.0.1:1", follow_redirects=False)
    client.cookies.set(app.state.cookie, app.state.sessions.begin("ana", Role.ADMIN))
    found = {}
    for path in pages:
        answer = client.get(path)
        if answer.headers.get("content-type", "").startswith("text/html") and answer.is_success:
            before = statements.count
            client.get(path)
            found[path] = statements.count - before
    return found


@contextmanager
def dashboard(home: Home) -> Iterator[tuple[str, psutil.Process]]:
    """The dashboard as a process of its own; yields its address and process."""
    environment = {**os.environ, "GLOCAL_HOME": str(home.root), "GLOCAL_DASHBOARD_PORT": "0"}
    process = psutil.Popen([sys.executable, "-m", "dashboard", "serve"], env=environment)
    try:
        if not wait_until(lambda: read_mapping(home.dashboard.state).get("pid") == process.pid, deadline_s=60):
            raise SystemExit("The dashboard did not start.")
        address = str(read_json(home.dashboard.state)["local"])
        if not wait_until(lambda: _answers(address), deadline_s=60):
            raise SystemExit("The dashboard does not answer.")
        yield address, process
    finally:
        end_processes([process], wait_s=10)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", trust_env=False).is_success
    except httpx.HTTPError:
        return False


def seconds_of(address: str, cookie: dict[str, str], pages: list[str], openings: int) -> dict[str, float]:
    """Seconds to the first paint of each page in Chromium, the median."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        raise SystemExit("There is no Chromium. Install the package chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        context = browser.new_context()
        context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": address}])
        shown, found = context.new_page(), {}
        for path in pages:
            taken = []
            for _ in range(openings + 1):
                shown.goto(address + path)
                # a report's page runs no script, so it cannot be asked to tell
                if not wait_until(lambda: shown.evaluate(_PAINT) is not None, deadline_s=30, pause_s=0.02):
                    raise SystemExit(f"{path} is not painted within 30 s.")
                taken.append(float(shown.evaluate(_PAINT)) / 1000)
            found[path] = round(median(taken[1:]), 3)
        browser.close()
    return found


def memory_of(address: str, cookie: dict[str, str], process: psutil.Process, pages: list[str]) -> dict[str, float]:
    """Resident megabytes of the dashboard after 100 and 1,000 openings."""
    found = {}
    with httpx.Client(base_url=address, cookies={cookie["name"]: cookie["value"]}, timeout=60, trust_env=False) as client:
        for number in range(1, 1001):
            client.get(pages[number % len(pages)])
            if number in {100, 1000}:
                found[f"mb_after_{number}"] = round(process.memory_info().rss / 2**20, 1)
    return found


def main(
    home: Annotated[Path | None, typer.Option(help="A home in which a run registered a version; it is copied.")] = None,
    runs: Annotated[int, typer.Option(help="Runs to add.")] = 1000,
    versions: Annotated[int, typer.Option(help="Versions to add.")] = 200,
    openings: Annotated[int, typer.Option(help="Openings of each page.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")] = False,
) -> None:
    """Measure every page."""
    statements = Statements()
    with tempfile.TemporaryDirectory() as folder:
        if home is None:
            say("making a home with a version")
            made = make_home(Path(folder))
        else:
            made = copied(home, Path(folder) / "home")
        environment = Environment(home=made)
        pages = pages_of(environment)
        few = queries_of(environment, pages, statements)
        say(f"adding {runs} runs and {versions} versions")
        multiply(made.root / "mlflow.db", runs=runs, versions=versions)
        many = queries_of(environment, pages, statements)
        with dashboard(made) as (address, process):
            port = address.rpartition(":")[2]
            cookie = {"name": f"glocal_{port}", "value": Sessions(made.dashboard).begin("ana", Role.ADMIN)}
            seconds = seconds_of(address, cookie, list(many), openings)
            say("opening 1,000 pages")
            memory = memory_of(address, cookie, process, list(many))
    found = {"pages": seconds, "queries": many, "queries_of_one_run": few, "memory": memory}
    if as_json:
        print(json.dumps(found))
        return
    for path, each in seconds.items():
        print(f"{each:7.3f} s  {many[path]:4} queries (of one run {few.get(path, 0)})  {path}")
    print(memory)


if __name__ == "__main__":
    typer.run(main)
