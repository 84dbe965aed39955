import json

from model.errors import InvalidInput, Overloaded, TooLarge, Unauthorized
from serving.gateway.problems import problem, problem_response


def test_an_error_is_a_document_with_kind_title_status_and_what_to_do():
    assert problem(InvalidInput("No image.", "Send one."), "abc") == {
        "type": "urn:glocal:invalid-input",
        "title": "No image.",
        "status": 422,
        "detail": "Send one.",
        "instance": "urn:glocal:request:abc",
    }
    assert problem(TooLarge("Much.")) == {"type": "urn:glocal:too-large", "title": "Much.", "status": 413}


def test_what_may_succeed_later_says_when():
    answer = problem_response(Overloaded("Full."), "abc")
    assert (answer.status_code, answer.headers["Retry-After"], answer.media_type) == (429, "1", "application/problem+json")
    assert json.loads(answer.body)["title"] == "Full."
    assert "Retry-After" not in problem_response(InvalidInput("No."), "abc").headers


def test_a_request_without_a_key_is_told_how_to_show_one():
    assert problem_response(Unauthorized("No key."), "abc").headers["WWW-Authenticate"] == "Bearer"
