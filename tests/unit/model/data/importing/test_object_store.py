import pytest

from model.data.importing.object_store import split_address
from model.errors import InvalidInput


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("s3://images/raw", ("images", "raw/")),
        ("s3://images/raw/", ("images", "raw/")),
        ("s3://images", ("images", "")),
        ("s3:/images/a/b", ("images", "a/b/")),
    ],
)
def test_an_address_is_a_bucket_and_a_prefix(url, parts):
    assert split_address(url) == parts


@pytest.mark.parametrize("url", ["s3://", "s3:///", "s3:///raw", "s3:/", "s3://two words/raw", "s3://a:b/raw"])
def test_an_address_without_a_bucket_is_refused_in_plain_words(url):
    with pytest.raises(InvalidInput, match="bucket") as caught:
        split_address(url)
    assert caught.value.hint == "Give s3://bucket/prefix."
