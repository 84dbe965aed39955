"""The gate of a changed gallery: whether a release of the champion's weights with another gallery may replace the champion.

Nothing was trained, so nothing is evaluated again. Three rules decide: the embedding space is the same, golden queries still find
what they found, and the thresholds still mean what they state. A fourth one names labels that look alike.
"""

from collections import Counter
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from model.config import GateConfig
from model.data.images import decode_image
from model.evaluation.gate import rule_result
from model.gallery_entries import entries_of
from model.release import Release
from model.schemas.decision import ComparedChampion, Decision, RuleResult
from model.text import counted, isolated

_TIED, _TIE = 5, 1e-4
"""Neighbours that may share the first place, and the difference of their scores: one image under two names has one score but for
rounding, and is a matter of `max_collisions`."""
_NAMED = 5
"""Maximum pairs of labels, and golden queries, that a rule names."""


def decide_gallery(candidate: Release, base: Release, champion: ComparedChampion | None, config: GateConfig) -> Decision:
    """Compare a release with the one whose gallery was changed.

    Args:
        candidate: The release with the changed gallery.
        base: The champion, or the version that was changed where there is none.
        champion: Name and version of the champion; None if there is none.
        config: The thresholds, of which `max_collisions` counts, and whose approval the release needs.

    Returns:
        The decision. Its rules:

        same_space: The embedding space is that of `base`.
        golden: Each golden query of `base` finds the same label first, if need be beside another one, as far as the entry that it
            found first is still there.
        max_collisions: The share of new images that would be identified as another label is not above the false-accept rate
            that the threshold states. Each new image is compared with the entries that were there before; in a gallery of new
            images alone, with all others. The share is above the rate if the lower end of its exact 95 % interval (Clopper and
            Pearson, 1934) is above the upper end of the rate's interval.
        look_alikes: Always held. It names the new labels most of whose images have their nearest other image under one other
            label: a strict threshold lets one object under two names pass `max_collisions`.
    """
    golden, asked = _golden(candidate, base)
    new = _new_rows(candidate, base)
    rules = (
        _same_space(candidate, base),
        golden,
        _collisions(candidate, new, config.max_collisions),
        _look_alikes(candidate, new),
    )
    return Decision(
        made_at=datetime.now(UTC),
        release=candidate.id,
        passed=all(rule.held for rule in rules),
        champion=champion,
        approval=config.approval_rule,
        queries=asked + len(new),
        rules=rules,
    )


def _same_space(candidate: Release, base: Release) -> RuleResult:
    one, other = candidate.embedding_space_id, base.embedding_space_id
    return rule_result(
        "same_space", one == other, float(one == other), 1, f"The embedding space is {one}, the champion's {other}"
    )


def _golden(candidate: Release, base: Release) -> tuple[RuleResult, int]:
    """The rule on golden queries, and the number of those that it is about."""
    present = set(candidate.gallery.entries.id_array.tolist())
    queries = [golden for golden in base.golden if golden.neighbours and golden.neighbours[0].id in present]
    retriever, wrong = candidate.retriever(), []
    for golden in queries:
        image = decode_image(base.golden_image(golden).read_bytes())
        (found,), first = retriever.search([image], _TIED), golden.neighbours[0].label
        if first not in {each.label for each in found if each.score >= found[0].score - _TIE}:
            wrong.append(f"{golden.file} finds {isolated(found[0].label)}, not {isolated(first)}")
    held = len(queries) - len(wrong)
    text = f"{held} of the {counted(len(queries), 'golden query', 'golden queries')} whose object stays find the same label first"
    text += f" ({'; '.join(wrong[:_NAMED])})" if wrong else ""
    return rule_result("golden", not wrong, held / len(queries) if queries else 1.0, 1, text), len(queries)


def _new_rows(candidate: Release, base: Release) -> NDArray[np.int64]:
    """The rows of the candidate's gallery whose entries are not in the other one."""
    now, before = candidate.gallery.entries, entries_of(base.gallery)
    named = zip(now.id_array.tolist(), (now.classes[label] for label in now.labels.tolist()), strict=True)
    return np.flatnonzero([entry not in before for entry in named])


def _collisions(candidate: Release, new: NDArray[np.int64], allowed: float) -> RuleResult:
    thresholds = {float(rate): threshold for rate, threshold in candidate.calibration.identify.items()}
    if not thresholds or not len(new):
        text = "No image is new" if thresholds else "The release states no threshold that new images could be held to"
        return RuleResult(name="max_collisions", held=True, figure=None, threshold=None, text=f"{text}: held.")
    from scipy.stats import binomtest

    rate = max(thresholds)
    stated = thresholds[rate].rate_interval or (rate, rate)
    taken = _taken_for(candidate, new, thresholds[rate].threshold)
    count, most = sum(taken.values()), max(rate, stated[1], allowed)
    interval = binomtest(count, len(new)).proportion_ci(method="exact")
    text = (
        f"{count} of {counted(len(new), 'new image')} ({count / len(new):.4f}, 95 % interval "
        f"[{interval.low:.4f}, {interval.high:.4f}]) would be identified as another object of the gallery, above a similarity of "
        f"{thresholds[rate].threshold:.4f}, which stands for {rate:g} [{stated[0]:.4f}, {stated[1]:.4f}] of strangers"
        f"{_pairs(candidate, new, taken)}; the interval may begin at {most:.4f} at most"
    )
    return rule_result("max_collisions", interval.low <= most, count / len(new), most, text)


def _look_alikes(candidate: Release, new: NDArray[np.int64]) -> RuleResult:
    gallery = candidate.gallery.entries
    counts = Counter[int](gallery.labels[new].tolist())
    rows = _nearest_others(candidate, new)[1] if len(new) else new
    pairs = Counter(zip(gallery.labels[new].tolist(), gallery.labels[rows].tolist(), strict=True))
    alike = [(pair, count) for pair, count in pairs.most_common() if pair[0] != pair[1] and 2 * count > counts[pair[0]] > 1]
    names = [isolated(name) for name in gallery.classes]
    named = [
        f"{names[one]} ({count} of {counted(counts[one], 'image')} nearest to {names[other]})"
        for (one, other), count in alike[:_NAMED]
    ]
    said = f"Is this one object under two names? {', '.join(named)}{' ...' if len(alike) > _NAMED else ''}"
    text = said if alike else "No new label has most of its images nearest to one other label"
    return RuleResult(name="look_alikes", held=True, figure=len(alike), threshold=None, text=f"{text}: held, it is only said.")


def _taken_for(candidate: Release, new: NDArray[np.int64], threshold: float) -> Counter[tuple[str, str]]:
    """How many new images of each label would be identified as which other label."""
    gallery, searched = candidate.gallery.entries, candidate.gallery
    before = np.setdiff1d(np.arange(len(gallery)), new)
    if len(before):
        scores, rows = (each[:, 0] for each in searched.search(searched.embeddings(new), 1, among=before))
    else:
        scores, rows = _nearest_others(candidate, new)
    wrong = (scores > threshold) & (gallery.labels[rows] != gallery.labels[new])
    pairs = zip(gallery.labels[new[wrong]].tolist(), gallery.labels[rows[wrong]].tolist(), strict=True)
    return Counter((gallery.classes[one], gallery.classes[other]) for one, other in pairs)


def _nearest_others(candidate: Release, new: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The nearest entry of each row but itself: scores and rows (N,); a score of -1 where there is no other."""
    scores, rows = candidate.gallery.search(candidate.gallery.embeddings(new), 2)
    scores = np.where(rows == new[:, None], np.float32(-1), scores)
    best = scores.argmax(axis=1)
    return scores[np.arange(len(new)), best], rows[np.arange(len(new)), best]


def _pairs(candidate: Release, new: NDArray[np.int64], taken: Counter[tuple[str, str]]) -> str:
    """The labels that are taken for one another, those with the most images first."""
    if not taken:
        return ""
    gallery = candidate.gallery.entries
    counts = Counter(gallery.classes[label] for label in gallery.labels[new].tolist())
    named = [
        f"{isolated(one)} as {isolated(other)} ({count} of {counted(counts[one], 'image')})"
        for (one, other), count in taken.most_common(_NAMED)
    ]
    return f": {', '.join(named)}{', and others' if len(taken) > _NAMED else ''}"
