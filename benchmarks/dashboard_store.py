"""A record of runs and versions as large as that of an old home, in seconds: copies of a run and a version of a home.

python -m benchmarks.dashboard_store HOME --runs 1000 --versions 200 --json

The rows of MLflow's SQLite database are copied, as recording them through MLflow would take hours. Every copy of a run has its
own steps, settings, figures and data; one in ten has failed. The files of a copy are those of the original. The dashboard's
benchmark measures its pages on such a home. HOME is changed: give a copy.
"""

import json
import sqlite3
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

Row = dict[str, Any]
_HOUR_MS = 3_600_000
_PARENT = "mlflow.parentRunId"
_OF_RUN = {
    "tags": "run_uuid",
    "params": "run_uuid",
    "metrics": "run_uuid",
    "latest_metrics": "run_uuid",
    "inputs": "destination_id",
}
"""Tables with rows of a run, and the column that names the run."""


class Store:
    """MLflow's database on SQLite.

    Args:
        database: A connection to it.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.row_factory = sqlite3.Row

    def rows(self, table: str, where: str = "1", *values: Any) -> list[Row]:
        """The rows of a table that meet a condition."""
        return [dict(row) for row in self._database.execute(f"SELECT * FROM {table} WHERE {where}", values)]  # noqa: S608

    def add(self, table: str, rows: list[Row]) -> None:
        """Add rows to a table."""
        if rows:
            names = ", ".join(rows[0])
            marks = ", ".join(f":{name}" for name in rows[0])
            self._database.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)  # noqa: S608


def multiply(database: Path, *, runs: int, versions: int) -> dict[str, int]:
    """Add copies of the pipeline run that has the most steps, and of the newest registered version.

    Args:
        database: `mlflow.db` of a home in which a run registered a version.
        runs: Number of pipeline runs to add.
        versions: Number of versions to add.

    Returns:
        Rows that were added, by table.
    """
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        store = Store(connection)
        added: dict[str, list[Row]] = {}
        _copy_runs(store, runs, lambda table, rows: added.setdefault(table, []).extend(rows))
        _copy_versions(store, versions, lambda table, rows: added.setdefault(table, []).extend(rows))
        for table, rows in added.items():
            store.add(table, rows)
    return {table: len(rows) for table, rows in added.items()}


def _copy_runs(store: Store, count: int, add: Callable[[str, list[Row]], None]) -> None:
    """Copies of the pipeline run that has the most steps, with them, an hour apart."""
    of_steps = store.rows("tags", "key = ?", _PARENT)
    if not of_steps:
        raise typer.BadParameter("The home has no pipeline run; run the pipeline in it first.")
    ((parent, _),) = Counter(tag["value"] for tag in of_steps).most_common(1)
    steps = [tag["run_uuid"] for tag in of_steps if tag["value"] == parent]
    whole = {run: _rows_of(store, run) for run in (parent, *steps)}
    for number in range(count):
        ids = {run: uuid.uuid4().hex for run in whole}
        shift = -_HOUR_MS * (number + 1)
        failed = number % 10 == 9
        for run, tables in whole.items():
            changed = {"run_uuid": ids[run], "destination_id": ids[run]}
            for table, rows in tables.items():
                add(table, [_copied(table, row, changed, ids, shift, failed and run == parent) for row in rows])


def _rows_of(store: Store, run: str) -> dict[str, list[Row]]:
    """All rows of a run, by table."""
    tables = {table: store.rows(table, f"{column} = ?", run) for table, column in _OF_RUN.items()}
    return {"runs": store.rows("runs", "run_uuid = ?", run), **tables}


def _copied(table: str, row: Row, changed: Mapping[str, str], ids: Mapping[str, str], shift: int, failed: bool) -> Row:
    """One row of a run, as its copy has it: other ids, an earlier time, and another end if it failed."""
    copy = {**row, **{name: value for name, value in changed.items() if name in row}}
    for name in ("start_time", "end_time"):
        if copy.get(name):
            copy[name] += shift
    if table == "inputs":
        copy["input_uuid"] = uuid.uuid4().hex
    if table == "tags" and row["key"] == _PARENT:
        copy["value"] = ids[row["value"]]
    if failed and table == "runs":
        copy["status"] = "FAILED"
    if failed and table == "tags" and row["key"] == "outcome":
        copy["value"] = "failed"
    return copy


def _copy_versions(store: Store, count: int, add: Callable[[str, list[Row]], None]) -> None:
    """Copies of the newest version."""
    found = store.rows("model_versions", "1 ORDER BY creation_time DESC LIMIT 1")
    if not found:
        raise typer.BadParameter("No version is registered in the home; run the pipeline in it first.")
    (template,) = found
    name, version = template["name"], template["version"]
    tags = store.rows("model_version_tags", "name = ? AND version = ?", name, version)
    newest = max(row["version"] for row in store.rows("model_versions", "name = ?", name))
    for number in range(newest + 1, newest + count + 1):
        add("model_versions", [{**template, "version": number}])
        add("model_version_tags", [{**tag, "version": number} for tag in tags])


def main(
    home: Annotated[Path, typer.Argument(help="A copy of a home in which a run registered a version. It is changed.")],
    runs: Annotated[int, typer.Option(help="Number of pipeline runs to add.")] = 1000,
    versions: Annotated[int, typer.Option(help="Number of versions to add.")] = 200,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Add copies of a run and a version to the record of a home."""
    begun = time.monotonic()
    added = multiply(home / "mlflow.db", runs=runs, versions=versions)
    seconds = round(time.monotonic() - begun, 1)
    print(json.dumps({"seconds": seconds, "rows": added}) if as_json else f"{sum(added.values())} rows in {seconds} s")


if __name__ == "__main__":
    typer.run(main)
