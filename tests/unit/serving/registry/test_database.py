"""A database that is missing: it is made only where nothing refers to an earlier one."""

import pytest

from model.errors import StorageFailed
from model.files import write_text
from model.home import Home
from serving.registry.database import check_not_lost
from serving.registry.models import Registry


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def deployed(home):
    write_text(home.serve.deployed, "damaged")
    return [home.serve.root]


def stored(home):
    write_text(home.serve.store / "mugs-1.mar", "x")
    return [home.serve.root]


def recorded(home):
    (home.root / "mlartifacts").mkdir(parents=True)
    return [home.root / "mlartifacts"]


def all_of_them(home):
    write_text(home.ledger, "")
    return [*deployed(home), *recorded(home), home.ledger]


@pytest.mark.parametrize("refer", [deployed, stored, recorded, all_of_them])
def test_a_missing_database_that_something_refers_to_is_refused_with_both_remedies(home, refer):
    folders = refer(home)
    with pytest.raises(StorageFailed, match=r"mlflow\.db is missing, and files ") as caught:
        Registry(home.tracking_uri, "mugs")
    assert not (home.root / "mlflow.db").exists()
    away = " and ".join(map(str, folders))
    assert caught.value.hint == (
        f"Restore it from a backup. Without one: glocal serve stop, then move {away} away; the next run begins new records."
    )


def test_once_what_referred_to_it_is_moved_away_a_new_database_is_made(home):
    for folder in all_of_them(home):
        folder.rename(home.root / f"old-{folder.name}")
    check_not_lost(home.root / "mlflow.db", home.serve)
    with pytest.raises(StorageFailed):
        check_not_lost(home.root / "mlflow.db", home.serve, needed=True)


def test_a_server_that_never_served_a_model_refers_to_no_database(home):
    home.serve.store.mkdir(parents=True)
    write_text(home.serve.state, "{}")
    check_not_lost(home.root / "mlflow.db", home.serve)
