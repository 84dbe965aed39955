"""How far a challenger's answer is from the champion's to the same query."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple


class Comparison(NamedTuple):
    """Two answers compared.

    Attributes:
        agreement: From 0 to 1; None where the two cannot be compared.
        shift: The challenger's best score less the champion's; None if one of them has none. Between two embedding spaces it says
            nothing on quality: it is what a caller with a threshold of his own would notice.
    """

    agreement: float | None
    shift: float | None


def compare(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Comparison:
    """Compare the champion's answer with the challenger's.

    The agreement is, of `search`, the share of the neighbours' ids that both have (agreement@k); of `detect`, that of the
    objects' labels; of `identify` and `verify`, whether both say the same; of `embed`, the cosine similarity, within one
    embedding space.
    """
    return Comparison(_agreement(ours, theirs), _shift(_best(ours), _best(theirs)))


def _agreement(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> float | None:
    if "neighbours" in ours:
        return _overlap(ours["neighbours"], theirs["neighbours"], "id")
    if "objects" in ours:
        return _overlap(ours["objects"], theirs["objects"], "label")
    for said in ("label", "same"):
        if said in ours:
            return float(ours[said] == theirs[said])
    if ours["embedding_space_id"] != theirs["embedding_space_id"]:
        return None
    cosine: float = sum(a * b for a, b in zip(ours["embedding"], theirs["embedding"], strict=True))
    return min(1.0, max(0.0, cosine))


def _overlap(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], field: str) -> float:
    """The share of the values of a field that both lists have, of the longer list; 1 if both are empty."""
    one, other = Counter(each[field] for each in ours), Counter(each[field] for each in theirs)
    longer = max(one.total(), other.total())
    return (one & other).total() / longer if longer else 1.0


def _best(answer: Mapping[str, Any]) -> float | None:
    """The score of the first neighbour, of the surest object, or of the answer as a whole."""
    for found in ("neighbours", "objects"):
        if answer.get(found):
            return float(answer[found][0]["score"])
    score = answer.get("score")
    return None if score is None else float(score)


def _shift(ours: float | None, theirs: float | None) -> float | None:
    return None if ours is None or theirs is None else theirs - ours
