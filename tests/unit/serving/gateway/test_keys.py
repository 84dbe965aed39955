from datetime import UTC, datetime, timedelta

import pytest

from model.errors import Forbidden, InvalidInput, NotFound, Unauthorized
from serving.gateway import keys as keys_module
from serving.gateway.keys import Scope, admit, create_key, read_keys, revoke_key

CALLER, OPERATOR = Scope.CALLER, Scope.OPERATOR


@pytest.fixture
def file(tmp_path):
    return tmp_path / "serve" / "keys.json"


def test_a_key_is_stored_hashed_for_its_owner_alone_and_admits(file):
    made, secret = create_key(file, "shop", [CALLER])
    assert secret not in file.read_text()
    assert secret.split("_", 2)[2] not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_keys(file) == (made,)
    assert admit(read_keys(file), secret, CALLER) == made


@pytest.mark.parametrize("secret", [None, "", "glocal", "glocal_", "glocal_00000000_x", "\ud800", "_" * 5000])
def test_no_key_or_an_unknown_one_is_unauthorized(file, secret):
    create_key(file, "shop", [CALLER])
    with pytest.raises(Unauthorized):
        admit(read_keys(file), secret, CALLER)


def test_a_right_id_with_a_wrong_secret_is_unauthorized(file):
    made, secret = create_key(file, "shop", [CALLER])
    for wrong in (secret[:-1], secret + "x", f"glocal_{made.id}_", secret.swapcase()):
        with pytest.raises(Unauthorized, match="not known"):
            admit(read_keys(file), wrong, CALLER)


def test_every_key_is_compared_in_constant_time_known_or_not(file, monkeypatch):
    create_key(file, "shop", [CALLER])
    compared = []
    monkeypatch.setattr(keys_module.hmac, "compare_digest", lambda one, other: compared.append((one, other)) or False)
    for secret in ("glocal_ffffffff_no", "nothing"):
        with pytest.raises(Unauthorized):
            admit(read_keys(file), secret, CALLER)
    assert [len(one) == len(other) == 64 for one, other in compared] == [True, True]


def test_an_expired_key_is_unauthorized(file):
    _, secret = create_key(file, "shop", [CALLER], days=1)
    admit(read_keys(file), secret, CALLER)
    with pytest.raises(Unauthorized, match="expired"):
        admit(read_keys(file), secret, CALLER, now=datetime.now(UTC) + timedelta(days=1, seconds=1))


def test_a_caller_may_not_operate_and_an_operators_key_may_do_what_it_says(file):
    _, caller = create_key(file, "shop", [CALLER])
    _, both = create_key(file, "admin", [CALLER, OPERATOR])
    with pytest.raises(Forbidden, match="operator"):
        admit(read_keys(file), caller, OPERATOR)
    assert admit(read_keys(file), both, OPERATOR).name == "admin"


def test_a_revoked_key_admits_no_more_and_the_others_do(file):
    gone, gone_secret = create_key(file, "one", [CALLER])
    _, kept_secret = create_key(file, "two", [CALLER])
    revoke_key(file, gone.id)
    with pytest.raises(Unauthorized):
        admit(read_keys(file), gone_secret, CALLER)
    admit(read_keys(file), kept_secret, CALLER)
    with pytest.raises(NotFound):
        revoke_key(file, gone.id)


@pytest.mark.parametrize(
    ("name", "scopes", "days"),
    [("", [CALLER], None), ("a\nb", [CALLER], None), ("x" * 65, [CALLER], None), ("shop", [], None), ("shop", ["root"], None)]
    + [("shop", [CALLER], days) for days in (0, -1, float("nan"), float("inf"), 1e300)],
)
def test_what_makes_no_usable_key_is_refused_and_nothing_is_stored(file, name, scopes, days):
    with pytest.raises(InvalidInput):
        create_key(file, name, scopes, days=days)
    assert not file.exists()


def test_a_damaged_file_is_named_and_not_written_over(file):
    file.parent.mkdir()
    file.write_text("{")
    with pytest.raises(InvalidInput, match=r"keys\.json cannot be read"):
        read_keys(file)
    with pytest.raises(InvalidInput):
        create_key(file, "shop", [CALLER])
    assert file.read_text() == "{"
