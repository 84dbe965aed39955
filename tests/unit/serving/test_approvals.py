"""What operators have said of several versions, read from the history at once."""

from model.schemas.approval import ApprovalRule
from model.schemas.model_version import ModelVersion
from model.schemas.promotion import Promotion
from serving.approval import approvals


def version(number, *, rule=None, starter="carl"):
    return ModelVersion(
        model="birds", version=number, created=0, release=f"r{number}", evidence_sha256="e", approval=rule, starter=starter
    )


def word(number, outcome, by, *, evidence="e", model="birds", kept=True):
    fields = {"id": f"{number}{by}", "when": 0, "why": "", "before": "", "kept": kept}
    return Promotion(model=model, version=number, release=f"r{number}", outcome=outcome, by=by, evidence=evidence, **fields)


TWO = ApprovalRule(approvers=2)


def test_each_version_that_needs_approval_has_the_words_on_it():
    history = [
        word("1", "approved", "ana"),
        word("2", "approved", "ana"),
        word("2", "refused", "bob"),
        word("1", "approved", "carl"),
        word("1", "approved", "dora", model="cards"),
        word("3", "approved", "eve"),
    ]
    found = approvals(history, [version("1", rule=TWO), version("2", rule=TWO), version("3")])
    assert list(found) == ["1", "2"]
    assert (found["1"].approved, found["1"].missing, found["1"].refused) == (("ana",), 1, ())
    assert (found["2"].approved, found["2"].refused) == (("ana",), ("bob",))


def test_the_last_word_counts_and_one_on_other_evidence_or_not_in_the_file_does_not():
    history = [
        word("1", "refused", "ana"),
        word("1", "approved", "ana"),
        word("1", "approved", "bob", evidence="other"),
        word("1", "approved", "eve", kept=False),
    ]
    found = approvals(history, [version("1", rule=TWO)])["1"]
    assert (found.approved, found.void, found.missing) == (("ana",), ("bob",), 1)
