"""Singletons: classes of one usable image, which are refused, left out, or kept as distractors."""

from typing import Literal

import numpy as np

from model.data.importing.findings import Findings
from model.data.importing.samples import Samples
from model.data.importing.splits import DISTRACTOR, SCENE


def exclude_singletons(samples: Samples, setting: Literal["fail", "drop", "distractor"], findings: Findings) -> None:
    """Exclude the only image of each class of one image from training and queries, as `data.singletons` says.

    With `drop` the image is left out. With `distractor` it becomes a distractor, which is in every gallery, so that a query may
    find it wrongly. With `fail` nothing is done here: `check_classes` names the class.
    """
    if setting == "fail":
        return
    rows = samples.keep & samples.compared
    lone = samples.per_class(rows) == 1
    for row in np.flatnonzero(rows & lone[samples.labels]):
        if setting == "drop":
            findings.drop("singleton", samples.name(int(row)), "the only usable image of its class is left out")
            samples.keep[row] = False
        else:
            text = "the only usable image of its class; it is searched, but never trained on and never a query"
            findings.warn("distractor", samples.name(int(row)), text)
            samples.sides[row] = DISTRACTOR


def check_classes(samples: Samples, findings: Findings) -> None:
    """Name each class of one image, each class without a usable image, and a data set of one class, which cannot be tested."""
    names, rows = samples.listing.labels, samples.compared
    usable, listed = samples.per_class(samples.keep & rows), samples.per_class(rows)
    distractors = samples.per_class(samples.keep & (samples.sides == DISTRACTOR))
    by_setting = not findings.defects  # with other defects, an image may be missing for another reason
    for label in np.flatnonzero((usable < 2) & (listed > 0)):
        if usable[label]:
            text = "it has one usable image, and nothing to be compared with; see data.singletons"
            findings.defect("class of one", names[label], text)
        elif distractors[label]:
            continue
        elif by_setting:
            findings.warn("class left out", names[label], "all its images were left out")
        else:
            findings.defect("empty class", names[label], "none of its images is usable")
    classes = np.flatnonzero(usable if by_setting else listed)
    if len(classes) == 1 and not np.any(samples.sides == SCENE):
        text = "it is the only class; if its label stands in a CSV, give that CSV"
        findings.defect("one class", names[int(classes[0])], text)
    elif by_setting and not samples.keep.any():
        findings.defect("empty", samples.listing.root.name, "every image was left out")
