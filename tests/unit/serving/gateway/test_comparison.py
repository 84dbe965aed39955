"""Two answers to one query, compared by hand."""

import pytest

from serving.gateway.comparison import compare


def search(*found):
    return {"neighbours": [{"id": id_, "score": score} for id_, score in found]}


def detect(*found):
    return {"objects": [{"label": label, "score": score} for label, score in found]}


def embed(*vector, space="s"):
    return {"embedding": list(vector), "embedding_space_id": space}


def test_a_search_agrees_in_the_share_of_ids_and_shifts_by_its_best_score():
    found = compare(search(("a", 0.5), ("b", 0.4)), search(("b", 0.75), ("c", 0.6)))
    assert found == (0.5, 0.25)
    assert compare(search(("a", 0.5)), search(("a", 0.5))) == (1, 0)
    assert compare(search(), search()) == (1, None)
    assert compare(search(("a", 0.5)), search()) == (0, None)


def test_a_detection_agrees_in_the_share_of_labels_each_as_often_as_it_was_found():
    found = compare(detect(("mug", 0.5), ("mug", 0.5), ("bag", 0.5)), detect(("mug", 0.75), ("bag", 0.5), ("bag", 0.5)))
    assert found == (pytest.approx(2 / 3), 0.25)


@pytest.mark.parametrize("said", ["label", "same"])
@pytest.mark.parametrize(("other", "agreement"), [("x", 1), ("y", 0)])
def test_identify_and_verify_agree_if_they_say_the_same(said, other, agreement):
    assert compare({said: "x", "score": 0.5}, {said: other, "score": 0.25}) == (agreement, -0.25)


def test_embeddings_agree_by_their_cosine_within_one_space_alone():
    assert compare(embed(0.6, 0.8), embed(0.8, 0.6)) == (pytest.approx(0.96), None)
    assert compare(embed(1, 0), embed(-1, 0)).agreement == 0
    assert compare(embed(1, 0), embed(1, 0, 0, space="other")) == (None, None)
