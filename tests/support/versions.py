"""Many registered versions and promotions, as rows alone: no release is made."""

from contextlib import contextmanager

from model.home import Home
from model.schemas.approval import ApprovalRule
from serving.registry.ledger import Ledger
from serving.registry.models import Registry
from serving.registry.store import open_client


def add_versions(home: Home, name: str, count: int, *, approval: ApprovalRule | None = None) -> None:
    """Register versions that name no files; the last one of the first call is champion."""
    client, registry = open_client(home.tracking_uri), Registry(home.tracking_uri, name)
    is_new = name not in {model.name for model in client.search_registered_models()}
    if is_new:
        client.create_registered_model(name)
    for number in range(count):
        tags = {
            "release": f"{number:016x}",
            "data_name": "drawn",
            "data_rev": "0" * 40,
            "starter": "carl",
            "evidence_sha256": "e",
        }
        figures = {"recall_at_1": "0.75", "map_at_r": "0.4", "intervals": '{"recall_at_1": [0.7, 0.8]}', "signed": "no"}
        needed = {"approval": approval.model_dump_json()} if approval else {}
        client.create_model_version(name, source=f"{home.root.as_uri()}/none/model", tags=tags | figures | needed)
    if is_new:
        registry.set_alias(str(count), "champion")


def add_promotions(home: Home, name: str, versions: list[str], *, by: str = "ann") -> None:
    """Write promotions of versions, one after the other, into the ledger."""
    ledger, before = Ledger(home.tracking_uri, name, home.ledger), ""
    for version in versions:
        entry = ledger.begin(by=by, why=f"version {version} is better", before=before, version=version, release_id="r")
        ledger.close(entry, "promoted")
        before = version


@contextmanager
def read_versions():
    """The versions that MLflow's store of this process reads meanwhile with their tags, as a set that grows."""
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersionTag
    from sqlalchemy import event

    found: set[int] = set()

    def note(tag, _):
        found.add(tag.version)

    event.listen(SqlModelVersionTag, "load", note)
    try:
        yield found
    finally:
        event.remove(SqlModelVersionTag, "load", note)


@contextmanager
def counted_statements():
    """The SQL statements that MLflow's stores of this process execute meanwhile, as a list that grows."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    found: list[str] = []

    def note(_connection, _cursor, statement, *_):
        found.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)
