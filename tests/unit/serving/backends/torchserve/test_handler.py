"""The handler, as TorchServe calls it."""

import pytest

from model.errors import GlocalError, InvalidInput
from serving.backends.torchserve.handler import Handler
from serving.golden import same_neighbours
from serving.operations.envelope import pack, unpack_answers
from serving.operations.query import make_query
from tests.support.releases import draw_image, make_release


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return make_release(tmp_path_factory.mktemp("handler") / "release")


class Context:
    """What TorchServe hands to a handler."""

    def __init__(self, folder=None, version="7"):
        self.system_properties = {"model_dir": str(folder)}
        self.manifest = {"model": {"modelVersion": version}}
        self.statuses, self.types = {}, {}

    def set_response_status(self, code=200, phrase="", idx=0):
        self.statuses[idx] = code

    def set_response_content_type(self, index, value):
        self.types[index] = value


@pytest.fixture
def handler(release, tmp_path):
    (tmp_path / "release").symlink_to(release.folder)
    made = Handler()
    made.initialize(Context(tmp_path))
    return made


def search(image, k=5):
    return make_query("search", [image], {"k": k})


def test_blocks_are_answered_each_with_its_own_answers_and_a_bad_query_fails_alone(handler, release):
    context = Context()
    blocks = [[search(draw_image(100)), search(b"no image")], [search(draw_image(101), 1), make_query("embed", [draw_image(1)])]]
    packed = handler.handle([{"body": pack(blocks[0])}, {"body": bytearray(pack(blocks[1]))}], context)
    (first, second), (third, fourth) = [unpack_answers(text, 2) for text in packed]
    assert context.statuses == {}
    assert set(context.types.values()) == {"application/json"}
    assert same_neighbours(first["neighbours"][:3], release.golden[0].neighbours)
    assert isinstance(second, InvalidInput)
    assert "no image of a known format" in str(second)
    assert (len(third["neighbours"]), third["model_version"]) == (1, "7")
    assert len(fourth["embedding"]) == release.gallery.vectors.shape[1]


@pytest.mark.parametrize("item", [{}, {"body": b""}, {"body": {"already": "parsed"}}, {"body": draw_image(1)}, {"data": b"x"}])
def test_what_is_no_block_of_queries_is_a_400_and_the_others_are_answered(handler, item):
    context = Context()
    refused, answered = handler.handle([item, {"body": pack([search(draw_image(1))])}], context)
    assert context.statuses == {0: 400}
    assert isinstance(unpack_answers(refused, 1)[0], InvalidInput)
    assert "neighbours" in unpack_answers(answered, 1)[0]


def test_a_query_at_which_the_engine_fails_fails_alone_and_without_its_trace(handler, monkeypatch):
    answers, bad = handler.worker.engine.answers, search(draw_image(2))

    def failing(queries):
        if bad in queries:
            raise ZeroDivisionError("division")
        return answers(queries)

    monkeypatch.setattr(handler.worker.engine, "answers", failing)
    (packed,) = handler.handle([{"body": pack([search(draw_image(1)), bad])}], Context())
    good, failed = unpack_answers(packed, 2)
    assert "neighbours" in good
    assert type(failed) is GlocalError
    assert "division" not in str(failed)
