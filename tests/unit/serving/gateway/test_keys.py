from datetime import UTC, datetime, timedelta

import pytest

from model.errors import Forbidden, InvalidInput, NotFound, Unauthorized
from model.home import Home
from serving.gateway import keys as keys_module
from serving.gateway.keys import KeyFile, Scope, create_key, known_key, read_keys, revoke_key

CALLER, OPERATOR = Scope.CALLER, Scope.OPERATOR


@pytest.fixture
def folder(tmp_path):
    return Home(tmp_path).serve


@pytest.fixture
def file(folder):
    return folder.keys


def admit(file, secret, scope):
    return KeyFile(file).admit(secret, scope)


def audited(folder):
    """The lines of the audit log, without their times."""
    return [line.split(" ", 2)[2] for line in folder.audit_log.read_text().splitlines()]


def test_a_key_is_stored_hashed_for_its_owner_alone_and_admits(folder, file):
    made, secret = create_key(folder, "shop", [CALLER])
    assert secret not in file.read_text()
    assert secret.split("_", 2)[2] not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_keys(file) == (made,)
    assert admit(file, secret, CALLER) == made


@pytest.mark.parametrize("secret", [None, "", "glocal", "glocal_", "glocal_00000000_x", "\ud800", "_" * 5000])
def test_no_key_or_an_unknown_one_is_unauthorized(folder, file, secret):
    create_key(folder, "shop", [CALLER])
    with pytest.raises(Unauthorized):
        admit(file, secret, CALLER)


def test_a_right_id_with_a_wrong_secret_is_unauthorized(folder, file):
    made, secret = create_key(folder, "shop", [CALLER])
    for wrong in (secret[:-1], secret + "x", f"glocal_{made.id}_", secret.swapcase()):
        with pytest.raises(Unauthorized, match="not known"):
            admit(file, wrong, CALLER)


def test_every_key_is_compared_in_constant_time_known_or_not(folder, file, monkeypatch):
    made, _ = create_key(folder, "shop", [CALLER])
    compared = []
    monkeypatch.setattr(keys_module.hmac, "compare_digest", lambda one, other: compared.append((one, other)) or False)
    for secret in ("glocal_ffffffff_no", "nothing", f"glocal_{made.id}_no"):
        with pytest.raises(Unauthorized):
            admit(file, secret, CALLER)
    assert [len(one) == len(other) == 64 for one, other in compared] == [True, True, True]
    assert compared[-1][1] == made.sha256


def test_an_expired_key_is_unauthorized(folder, file):
    made, secret = create_key(folder, "shop", [CALLER], days=1)
    assert known_key([made], secret) == made
    made.check(CALLER)
    with pytest.raises(Unauthorized, match="expired"):
        made.check(CALLER, now=datetime.now(UTC) + timedelta(days=1, seconds=1))


def test_a_caller_may_not_operate_and_an_operators_key_may_do_what_it_says(folder, file):
    _, caller = create_key(folder, "shop", [CALLER])
    _, both = create_key(folder, "admin", [CALLER, OPERATOR])
    with pytest.raises(Forbidden, match="operator"):
        admit(file, caller, OPERATOR)
    assert admit(file, both, OPERATOR).name == "admin"


def test_a_revoked_key_admits_no_more_and_the_others_do(folder, file):
    gone, gone_secret = create_key(folder, "one", [CALLER])
    _, kept_secret = create_key(folder, "two", [CALLER])
    revoke_key(folder, gone.id)
    with pytest.raises(Unauthorized):
        admit(file, gone_secret, CALLER)
    admit(file, kept_secret, CALLER)
    with pytest.raises(NotFound):
        revoke_key(folder, gone.id)


@pytest.mark.parametrize(
    ("name", "scopes", "days"),
    [("", [CALLER], None), ("a\nb", [CALLER], None), ("x" * 65, [CALLER], None), ("shop", [], None), ("shop", ["root"], None)]
    + [("shop", [CALLER], days) for days in (0, -1, float("nan"), float("inf"), 1e300)],
)
def test_what_makes_no_usable_key_is_refused_and_nothing_is_stored(folder, file, name, scopes, days):
    with pytest.raises(InvalidInput):
        create_key(folder, name, scopes, days=days)
    assert not file.exists()


def test_a_damaged_file_is_named_and_not_written_over(folder, file):
    file.parent.mkdir()
    file.write_text("{")
    with pytest.raises(InvalidInput, match=r"keys\.json cannot be read"):
        read_keys(file)
    with pytest.raises(InvalidInput):
        create_key(folder, "shop", [CALLER])
    assert file.read_text() == "{"


def test_there_is_no_key_without_its_line_in_the_audit_log(folder, file):
    folder.audit_log.mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        create_key(folder, "shop", [CALLER])
    assert not file.exists()


def test_making_and_revoking_a_key_is_a_line_each_in_the_audit_log_which_its_owner_alone_may_read(folder, monkeypatch):
    monkeypatch.setenv("GLOCAL_USER", "eve\nmallory")
    made, secret = create_key(folder, "the shop", [CALLER, OPERATOR], days=1)
    revoke_key(folder, made.id)
    with pytest.raises(NotFound):
        revoke_key(folder, made.id)
    created, revoked = audited(folder)
    assert created.startswith(f"INFO glocal.gateway.audit created key={made.id} name='the shop' scopes=caller,operator expires=")
    assert created.endswith(r"by=eve\x0amallory")
    assert revoked == rf"INFO glocal.gateway.audit revoked key={made.id} name='the shop' by=eve\x0amallory"
    assert secret.rsplit("_")[-1] not in folder.audit_log.read_text()
    assert folder.audit_log.stat().st_mode & 0o777 == 0o600
