"""Multi-Similarity against plain Python."""

import pytest
import torch

from model.losses.terms import TERMS
from tests.support.losses import CLASSES, LABELS, few, multi_similarity


@pytest.mark.parametrize("seed", range(3))
def test_multi_similarity_is_the_papers_sum_over_all_pairs(seed):
    said = TERMS["multi_similarity"](CLASSES, 3)(few(seed), torch.tensor(LABELS)).item()
    assert said == pytest.approx(multi_similarity(few(seed).numpy(), LABELS))
