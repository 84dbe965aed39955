"""Approval of versions by people. No pipeline waits for it: a version that needs it is registered, and serves once it has it.

A word is an entry of the ledger, on a release and on the evidence for it: the report and the decision that are kept with the
version. It is void when either is another one now.
"""

from collections.abc import Iterable
from typing import get_args

from model.errors import Conflict, Forbidden, InvalidInput
from model.schemas.approval import Approval, ApprovalRule
from model.schemas.model_version import ModelVersion
from model.schemas.promotion import Promotion, Word
from serving.registry.ledger import Ledger
from serving.registry.models import Registry
from serving.registry.runs import Runs


def read_approval(registry: Registry, ledger: Ledger, version: ModelVersion) -> Approval | None:
    """What was said of a version; None if it needs nobody's approval.

    Raises:
        NotFound: The evidence of the version is gone.
    """
    if version.approval is None:
        return None
    evidence = registry.files.evidence_sha256(version.version)
    return _said(ledger.words(version.version), version, version.approval, evidence)


def approvals(history: Iterable[Promotion], versions: Iterable[ModelVersion]) -> dict[str, Approval]:
    """What was said of each version that needs an approval, by its number, on its evidence as it was registered.

    Whether the evidence is the same still is looked at when somebody approves or promotes.

    Args:
        history: Entries of the ledger, oldest first.
        versions: Versions of one model.
    """
    needing = {version.version: version for version in versions if version.approval is not None}
    words: dict[str, list[Promotion]] = {number: [] for number in needing}
    for entry in history:
        known = needing.get(entry.version)
        if known is not None and entry.model == known.model and entry.kept and entry.outcome in get_args(Word):
            words[entry.version].append(entry)
    return {
        number: _said(words[number], version, version.approval, version.evidence_sha256)
        for number, version in needing.items()
        if version.approval is not None
    }


def check_word(registry: Registry, ledger: Ledger, version: str, word: Word, *, by: str) -> ModelVersion:
    """Refuse a word that an operator may not give; returns the version that it is on. Raises as `give_word`."""
    asked = registry.version(version)
    if asked.approval is None:
        raise InvalidInput(f"{asked.label} needs nobody's approval.", f"Let it serve: glocal promote {version} --why REASON.")
    evidence = registry.files.evidence_sha256(version)
    takes_back = by in _said(ledger.words(version), asked, asked.approval, evidence).refused
    if word == "approved" and by == asked.starter and not (asked.approval.own or takes_back):
        raise Forbidden(
            f"{by} started the run that made {asked.label}, and may not approve it.", "Another operator must, with a key."
        )
    if evidence != asked.evidence_sha256:
        raise InvalidInput(
            f"The report or the decision of {asked.label} was changed since it was registered.", "Run the pipeline again."
        )
    return asked


def give_word(registry: Registry, ledger: Ledger, version: str, word: Word, *, by: str, why: str) -> Approval:
    """Record that an operator approves or refuses a version, here and on its run; returns what was said until now.

    Args:
        registry: The registered model.
        ledger: Its ledger.
        version: The version.
        word: What the operator says.
        by: Name of the operator.
        why: The reason.

    Raises:
        NotFound: There is no such version.
        InvalidInput: It needs nobody's approval, or its evidence was changed since it was registered.
        Forbidden: Who started the run may not approve it, but for taking a refusal back.
    """
    asked = check_word(registry, ledger, version, word, by=by)
    ledger.note(word, by=by, why=why, version=version, release_id=asked.release, evidence=asked.evidence_sha256)
    said = approvals(ledger.words(version), [asked])[version]
    Runs(registry.tracking_uri).note_approval(asked.run_id, waits=not said.may_serve and not said.refused)
    return said


def refuse_unapproved(registry: Registry, ledger: Ledger, version: ModelVersion) -> None:
    """Refuse a version that needs an approval which it has not.

    Raises:
        Conflict: It has not; the message says what was said.
    """
    said = read_approval(registry, ledger, version)
    if said is None or said.may_serve:
        return
    if said.refused:
        raise Conflict(f"{version.label} was refused by {', '.join(said.refused)}.", "glocal history says why.")
    void = (
        f" The approval of {', '.join(said.void)} is void: the release or its evidence is another one now." if said.void else ""
    )
    given = f", and has that of {', '.join(said.approved)}" if said.approved else ""
    raise Conflict(
        f"{version.label} needs the approval of {said.rule.approvers}{given}.{void}",
        f"An operator: glocal approve {version.version} --name {version.model} --why REASON.",
    )


def _said(words: Iterable[Promotion], version: ModelVersion, rule: ApprovalRule, evidence: str) -> Approval:
    """What was said of a version whose evidence has this hash now.

    Args:
        words: The ledger's entries with words on it, oldest first.
        version: The version.
        rule: Whose word it needs.
        evidence: SHA-256 of its report and decision.
    """
    last = dict[str, tuple[Word, bool]]()
    for entry in words:
        counts = entry.release == version.release and entry.evidence == evidence == version.evidence_sha256
        last[entry.by] = ("approved" if entry.outcome == "approved" else "refused", counts)
    return Approval(
        model=version.model,
        version=version.version,
        rule=rule,
        starter=version.starter,
        approved=tuple(by for by, said in last.items() if said == ("approved", True) and (rule.own or by != version.starter)),
        refused=tuple(by for by, (word, _) in last.items() if word == "refused"),
        void=tuple(by for by, said in last.items() if said == ("approved", False)),
    )
