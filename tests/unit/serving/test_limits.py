"""The limits of images stand before the decoder at every door: the import, training, the engine and the client."""

import re

import pytest
from pydantic import ValidationError

from model.config import DataConfig
from model.data import pixels
from model.data.decoding.limits import MAX_RATIO, MAX_SIDE
from model.data.headers import DEFAULT
from model.data.images import load_image
from model.errors import InvalidInput
from serving.client import Client
from serving.engine.engine import Engine
from serving.limits import MAX_BYTES, MAX_PIXELS
from serving.operations.query import make_query
from tests.support.encoded import blobs, encode, sized_png
from tests.support.memory import peak_growth
from tests.support.releases import huge_png, make_release
from tests.support.sources import Survey, make_source

EVERYWHERE = {
    "1 x 5,000,000": (sized_png(1, 5_000_000), f"1 x 5000000 pixels: no side may be longer than {MAX_SIDE}"),
    "1 x 2,000,000": (sized_png(1, 2_000_000), f"1 x 2000000 pixels: no side may be longer than {MAX_SIDE}"),
    "a side": (sized_png(MAX_SIDE + 1, 1000), f"no side may be longer than {MAX_SIDE}"),
    "the ratio": (sized_png(20_000, 199), f"one side is more than {MAX_RATIO} times the other"),
    "pixels": (sized_png(20_000, 20_000), "20000 x 20000 pixels, more than"),
}
AT_THE_ENDPOINT = {
    "pixels of a request": (sized_png(10_000, 5001), f"more than {MAX_PIXELS}"),
    "bytes of a request": (encode(blobs()) + bytes(MAX_BYTES), f"more than {MAX_BYTES}"),
}
REFUSED = EVERYWHERE | AT_THE_ENDPOINT


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return Engine(make_release(tmp_path_factory.mktemp("limits") / "release").folder)


@pytest.fixture
def undecoded(monkeypatch):
    """Fails the test if the refused image is decoded."""
    decode = pixels._decode

    def watched(data, *rest):
        assert all(data != refused for refused, _ in REFUSED.values()), "it was decoded"
        return decode(data, *rest)

    monkeypatch.setattr(pixels, "_decode", watched)


@pytest.mark.parametrize("name", EVERYWHERE)
@pytest.mark.usefixtures("undecoded")
def test_an_import_names_the_file(name, tmp_path):
    data, why = EVERYWHERE[name]
    source = make_source(tmp_path / "source")
    (source / "ant" / "odd.png").write_bytes(data)
    survey = Survey(source)
    assert survey.defects == [("oversized", "ant/odd.png")]
    assert why in survey.findings.defects[0].text


@pytest.mark.parametrize("name", EVERYWHERE)
@pytest.mark.usefixtures("undecoded")
def test_training_names_the_file(name, tmp_path):
    data, why = EVERYWHERE[name]
    (tmp_path / "odd.png").write_bytes(data)
    with pytest.raises(InvalidInput, match=re.escape(why)) as caught:
        load_image(tmp_path / "odd.png", 32)
    assert "odd.png" in str(caught.value)


def test_an_import_takes_nothing_that_training_would_refuse():
    for setting, most in (("max_image_bytes", DEFAULT.max_bytes), ("max_image_pixels", DEFAULT.max_pixels)):
        assert getattr(DataConfig(**{setting: most}), setting) == getattr(DataConfig(), setting) == most
        with pytest.raises(ValidationError):
            DataConfig(**{setting: most + 1})


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.usefixtures("undecoded")
def test_the_engine_refuses_that_query_alone(name, engine):
    data, why = REFUSED[name]
    refused, answered = engine.answers([make_query("search", [image], {"k": 1}) for image in (data, encode(blobs()))])
    assert isinstance(refused, InvalidInput)
    assert refused.http_status == 422
    assert why in str(refused)
    assert len(answered["neighbours"]) == 1


@pytest.mark.parametrize("name", REFUSED)
def test_the_client_sends_nothing(name):
    data, why = REFUSED[name]
    with pytest.raises(InvalidInput, match=re.escape(why)):
        Client("http://127.0.0.1:9").search(data)


@pytest.mark.slow
def test_what_is_refused_takes_no_memory():
    """A PNG of 900 million pixels among them, which is whole."""
    assert peak_growth([data for data, _ in EVERYWHERE.values()] + [huge_png()]) < 16
