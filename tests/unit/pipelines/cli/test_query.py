import json

from model.schemas.status import ServerStatus

ANSWER = {
    "release": "r",
    "embedding_space_id": "s",
    "neighbours": [{"id": "a\u202eb.jpg", "label": "mug\n\x1b[31m", "score": 0.5}],
}


RERANKED = ANSWER | {"neighbours": [{"id": "a.jpg", "label": "mug", "score": 0.5, "inliers": 7}]}


def test_what_an_endpoint_answers_reaches_the_terminal_with_escapes(glocal, monkeypatch):
    served = ServerStatus(
        running=True, state="serving", log="logs", address="http://x", models={"mugs": {"default": "1", "versions": ()}}
    )
    monkeypatch.setattr("serving.backends.torchserve.server.status", lambda _: served)
    monkeypatch.setattr("serving.client.query", lambda *_: ANSWER)
    code, out, _ = glocal("query", "x\u202e.jpg")
    assert (code, out) == (0, "x\\u202e.jpg: release r, space s\n  0.5000  mug\\x0a\\x1b[31m  (a\\u202eb.jpg)\n")
    _, out, _ = glocal("query", "x.jpg", "--json")
    assert json.loads(out) == ANSWER
    assert out.isascii()
    monkeypatch.setattr("serving.client.query", lambda *_: RERANKED)
    assert glocal("query", "x.jpg")[1].endswith("  0.5000  mug  (a.jpg), 7 local matches\n")
