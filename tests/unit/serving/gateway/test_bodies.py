import base64
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import GlocalError, InvalidInput, TooLarge, Unsupported
from serving.gateway.bodies import MAX_QUERIES, parse_body
from serving.gateway.forms import MAX_PARTS
from serving.limits import MAX_BYTES
from serving.operations import OPERATIONS
from serving.operations.query import Query

SEARCH, VERIFY = OPERATIONS["search"], OPERATIONS["verify"]
BOUNDARY = "xyz"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def form(*fields, file="a.jpg", end=True):
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n\r\n'.encode() + content + b"\r\n"
        for name, content in fields
    ]
    return b"".join(parts) + (f"--{BOUNDARY}--\r\n".encode() if end else b"")


def b64(data):
    return base64.b64encode(data).decode()


def one(asked):
    (query,) = asked.queries
    assert not asked.is_batch
    return query


@pytest.mark.parametrize("content_type", ["", "application/octet-stream", "image/jpeg", "IMAGE/PNG; x=1"])
def test_raw_bytes_are_the_image_with_options_from_the_address(content_type):
    query = one(parse_body(SEARCH, content_type, b"pixels", {"k": "7", "rerank": "false"}))
    assert (query.images, query.options.k, query.options.rerank) == ((b"pixels",), 7, False)


def test_a_form_has_the_image_and_the_options_as_fields():
    query = one(parse_body(SEARCH, FORM, form(("k", b"3"), ("image", b"pix\r\n--els"), ("label", "é".encode())), {"k": "9"}))
    assert (query.images, query.options.k, query.options.label) == ((b"pix\r\n--els",), 3, "é")


def test_json_has_the_image_in_base64():
    body = json.dumps({"image": b64(b"pixels"), "options": {"k": 2}}).encode()
    query = one(parse_body(SEARCH, "application/json; charset=utf-8", body, {}))
    assert (query.images, query.options.k) == ((b"pixels",), 2)


def test_two_images_of_one_query_come_as_two_fields_or_a_list():
    body = json.dumps({"image": [b64(b"1"), b64(b"2")]}).encode()
    for content_type, data in ((FORM, form(("image", b"1"), ("image", b"2"))), ("application/json", body)):
        assert one(parse_body(VERIFY, content_type, data, {})).images == (b"1", b"2")


def test_several_images_are_a_batch_of_queries():
    asked = parse_body(SEARCH, FORM, form(("images", b"1"), ("images", b"2"), ("k", b"2")), {})
    assert asked.is_batch
    assert [(query.images, query.options.k) for query in asked.queries] == [((b"1",), 2), ((b"2",), 2)]
    pairs = parse_body(VERIFY, FORM, form(*[("images", b"%d" % number) for number in range(4)]), {})
    assert [query.images for query in pairs.queries] == [(b"0", b"1"), (b"2", b"3")]


def test_a_bad_item_of_a_batch_is_an_error_in_its_place():
    items = [{"image": b64(b"1")}, {"image": "no base64!"}, 5, {"image": b64(b"2"), "options": {"k": 0}}, {"image": b64(b"3")}]
    asked = parse_body(SEARCH, "application/json", json.dumps({"queries": items}).encode(), {})
    assert [isinstance(query, Query) for query in asked.queries] == [True, False, False, False, True]
    assert {type(query) for query in asked.queries if not isinstance(query, Query)} == {InvalidInput}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("", b""),
        (FORM, form()),
        (FORM, form(("k", b"1"))),
        (FORM, form(("image", b"1"), ("images", b"2"))),
        (FORM, form(("image", b"1"), end=False)),
        (FORM, b"nonsense"),
        ("multipart/form-data", form(("image", b"1"))),
        (f"multipart/form-data; boundary={'x' * 300}", form(("image", b"1"))),
        (FORM, form(("image", b"1"), ("image", b"2"))),
        (FORM, form(("image", b"1"), ("k", b"\xff"))),
        (FORM, b"--xyz\r\nContent-Type: image/png\r\n\r\n1\r\n--xyz--\r\n"),
        ("application/json", b"{"),
        ("application/json", b"[]"),
        ("application/json", b'"text"'),
        ("application/json", b'{"image": 5}'),
        ("application/json", b'{"image": null}'),
        ("application/json", b'{"image": []}'),
        ("application/json", b'{"image": "aa=a"}'),
        ("application/json", b'{"image": "aGk=", "options": [1]}'),
        ("application/json", b'{"image": "aGk=", "url": "http://169.254.169.254/"}'),
        ("application/json", b'{"queries": [], "k": 1}'),
        ("application/json", b'{"image": "aGk=", "options": {"k": "many"}}'),
    ],
)
def test_what_cannot_be_read_is_refused(content_type, body):
    with pytest.raises(InvalidInput):
        parse_body(SEARCH, content_type, body, {})


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/pickle"])
def test_other_content_types_are_unsupported(content_type):
    with pytest.raises(Unsupported):
        parse_body(SEARCH, content_type, b"x", {})


def test_more_parts_queries_headers_or_bytes_than_allowed_are_refused():
    with pytest.raises(TooLarge):
        parse_body(SEARCH, FORM, form(*[("x", b"")] * (MAX_PARTS + 1)), {})
    with pytest.raises(TooLarge):
        parse_body(SEARCH, FORM, form(*[("images", b"1")] * (MAX_QUERIES + 1)), {})
    with pytest.raises(TooLarge):
        parse_body(SEARCH, "application/json", json.dumps({"queries": [{}] * (MAX_QUERIES + 1)}).encode(), {})
    with pytest.raises(InvalidInput):
        parse_body(SEARCH, FORM, form(("image", b"1"), file="x" * 100_000), {})
    with pytest.raises(TooLarge):
        parse_body(SEARCH, "", bytes(MAX_BYTES + 1), {})
    with pytest.raises(TooLarge):
        parse_body(SEARCH, FORM, form(("image", b"1"), ("k", b"1" * 5000)), {})


@pytest.mark.parametrize("many", [b"{},", b"[],", b'{"a":1},', b"1,"])
def test_json_of_more_values_than_a_request_needs_is_refused_before_it_is_parsed(many):
    body = b'{"queries":[' + many * 5000 + b"0]}"
    with pytest.raises(TooLarge, match="values"):
        parse_body(SEARCH, "application/json", body, {})
    items = [{"image": b64(bytes(5000)), "options": {"k": 3, "label": "," * 200, "group": "[{"}}] * MAX_QUERIES
    allowed = parse_body(SEARCH, "application/json", json.dumps({"queries": items}).encode(), {})
    assert all(isinstance(query, Query) for query in allowed.queries)


def test_a_part_that_is_full_of_boundaries_is_refused_before_it_is_parsed(monkeypatch):
    monkeypatch.setattr("serving.gateway.forms.MultipartParser", lambda *_: pytest.fail("it was parsed"))
    with pytest.raises(TooLarge, match="parts"):
        parse_body(SEARCH, FORM, form(("image", b"\r\n--xyzX" * 1000)), {})


def test_as_many_parts_as_are_allowed_are_read_with_whatever_stands_before_and_after_them():
    fields = [("image", b"1"), *[("k", b"3")] * (MAX_PARTS - 1)]
    asked = parse_body(SEARCH, FORM, b"\r\n" + form(*fields) + b"after", {})
    assert one(asked).images == (b"1",)


@pytest.mark.parametrize("file", ["../../etc/passwd", "..\\x", "C:\\x", "%00", "a;b"])
def test_a_clients_file_name_changes_nothing(file):
    assert one(parse_body(SEARCH, FORM, form(("image", b"1"), file=file), {})).images == (b"1",)


@given(st.sampled_from(["", FORM, "application/json", "image/png"]), st.binary(max_size=300))
def test_no_body_raises_anything_but_our_errors(content_type, body):
    with contextlib.suppress(GlocalError):
        parse_body(SEARCH, content_type, body, {})
