"""The ledger of promotions: every attempt to change the version that serves, as a run in MLflow and as lines of a file."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from model.schemas.promotion import Promotion, PromotionOutcome, Word
from serving.registry.ledger_file import LedgerFile
from serving.registry.store import experiment_id, is_new, open_client, quoted

if TYPE_CHECKING:
    from mlflow.entities import Run

PROMOTIONS = "glocal-promotions"
_LONGEST = 4000
"""Maximum characters of a reason that are kept."""
_SEARCHED = 1000
"""Maximum entries searched for the last attempt of each version."""
_KEPT = "kept"
"""Tag of the entries that have a line in the ledger's file."""
_STATUS: dict[PromotionOutcome, str] = {"failed": "FAILED", "killed": "KILLED"}


class Ledger:
    """The promotions of one registered model.

    Args:
        tracking_uri: `sqlite:///...` or an MLflow server.
        model: Name of the registered model.
        file: The ledger's file.
    """

    def __init__(self, tracking_uri: str, model: str, file: Path) -> None:
        self.model = model
        self.file = LedgerFile(file)
        self._client = open_client(tracking_uri)
        self._experiment = experiment_id(self._client, tracking_uri, PROMOTIONS)

    def begin(self, *, by: str, why: str, before: str, version: str, release_id: str, place: str = "") -> str:
        """Record that a version is to serve, before anything is switched; returns the entry's id.

        Args:
            by: The user who asked for it.
            why: The reason given.
            before: The version that is champion; empty if there is none.
            version: The version that is to serve.
            release_id: Id of its release.
            place: The machine and the GLOCAL_HOME that serve.
        """
        tags = {"by": by, "why": why[:_LONGEST], "from": before, "to": version, "release": release_id, "place": place}
        tags |= {"model": self.model, "outcome": "begun"}
        run = self._client.create_run(self._experiment, run_name=f"{self.model} {before or 'nothing'} to {version}", tags=tags)
        self.file.append(read_entry(run).model_copy(update={"kept": True}))
        self._client.set_tag(run.info.run_id, _KEPT, "yes")  # after its line: a kill between the two is no change of the history
        return str(run.info.run_id)

    def close(self, entry: str, outcome: PromotionOutcome, *, why: str = "", ended: int | None = None) -> None:
        """Record how an attempt ended.

        Args:
            entry: The id that `begin` returned.
            outcome: How it ended.
            why: Text that replaces the reason; empty: the reason stays.
            ended: When it ended, in milliseconds since 1970; default: now.
        """
        begun, ended = read_entry(self._client.get_run(entry)), ended or round(1000 * time.time())
        changed = {"why": why[:_LONGEST] or begun.why, "outcome": outcome, "ended": ended}
        self.file.append(begun.model_copy(update=changed | {"kept": True}))
        for tag, value in {_KEPT: "yes", **changed}.items():
            self._client.set_tag(entry, tag, str(value))
        self._client.set_terminated(entry, _STATUS.get(outcome, "FINISHED"))

    def note(self, word: Word, *, by: str, why: str, version: str, release_id: str, evidence: str) -> None:
        """Record an operator's word on a version.

        Args:
            word: What the operator says.
            by: Name of the operator.
            why: The reason.
            version: The version.
            release_id: Id of its release.
            evidence: SHA-256 of its report and decision.
        """
        tags = {"by": by, "why": why[:_LONGEST], "to": version, "release": release_id, "evidence": evidence}
        tags |= {"model": self.model, "outcome": word, "ended": str(round(1000 * time.time()))}
        run = self._client.create_run(self._experiment, run_name=f"{self.model} version {version} {word}", tags=tags)
        self.file.append(read_entry(run).model_copy(update={"kept": True}))
        self._client.set_tag(run.info.run_id, _KEPT, "yes")
        self._client.set_terminated(run.info.run_id)

    def words(self, version: str) -> list[Promotion]:
        """What operators have said of a version, oldest first: the entries that have a line in the ledger's file."""
        entries = self._latest(f"tags.model = '{self.model}' and tags.to = '{version}'")
        return [entry for entry in entries if entry.kept and entry.outcome in get_args(Word)]

    def outcomes(self, place: str) -> dict[str, str]:
        """The outcome of the last attempt to deploy each version in a place, latest first; `begun` if no one closed it."""
        found: dict[str, str] = {}
        for entry in reversed(self._latest(f"tags.model = '{self.model}'")):
            if entry.place in {"", place} and entry.outcome not in get_args(Word):
                found.setdefault(entry.version, entry.outcome)
        return found

    def unfinished(self) -> list[Promotion]:
        """The promotions that no one closed, newest first."""
        condition = f"tags.model = '{self.model}' and tags.outcome = 'begun'"
        runs = self._client.search_runs([self._experiment], condition, order_by=["attributes.start_time DESC"])
        return [read_entry(run) for run in runs]

    def _latest(self, condition: str) -> list[Promotion]:
        """The latest entries of a condition, oldest first.

        Those that have lines in this ledger's file come in the order of these among themselves: the clock may have been set back.
        """
        order = ["attributes.start_time DESC"]
        runs = self._client.search_runs([self._experiment], condition, order_by=order, max_results=_SEARCHED)
        entries = [read_entry(run) for run in reversed(runs)]
        place = {entry: number for number, entry in enumerate(self.file.entries())}
        written = iter(sorted((entry for entry in entries if entry.id in place), key=lambda entry: place[entry.id]))
        return [next(written) if entry.id in place else entry for entry in entries]


def read_entry(run: "Run") -> Promotion:
    """The entry that a run of the ledger holds."""
    tags = run.data.tags
    ended = tags.get("ended", "")
    return Promotion(
        id=run.info.run_id,
        model=tags.get("model", ""),
        when=run.info.start_time,
        by=tags.get("by", ""),
        why=tags.get("why", ""),
        before=tags.get("from", ""),
        version=tags.get("to", ""),
        release=tags.get("release", ""),
        outcome=_outcome(tags.get("outcome", "begun")),
        place=tags.get("place", ""),
        evidence=tags.get("evidence", ""),
        ended=int(ended) if ended.isdigit() else run.info.end_time,
        kept=_KEPT in tags,
    )


def _outcome(text: str) -> PromotionOutcome:
    """The outcome that a tag names; a tag that somebody edited to another text names a failure."""
    return next((each for each in get_args(PromotionOutcome) if each == text), "failed")


def read_ledger(tracking_uri: str, *, model: str = "", version: str = "") -> list[Promotion]:
    """The attempts on models of a registry, oldest first; none if there is no database yet.

    Args:
        tracking_uri: Address of the registry.
        model: Name of a model; empty: of all models.
        version: Number of a version; empty: of all versions.
    """
    if is_new(tracking_uri):
        return []
    client = open_client(tracking_uri)
    experiment = client.get_experiment_by_name(PROMOTIONS)
    if experiment is None:
        return []
    given = [f"tags.{tag} = {quoted(value)}" for tag, value in (("model", model), ("to", version)) if value]
    found, token = list[Promotion](), ""
    while True:
        page = client.search_runs(
            [experiment.experiment_id],
            " and ".join(given),
            order_by=["attributes.start_time ASC"],
            max_results=_SEARCHED,
            page_token=token or None,
        )
        found += map(read_entry, page)
        token = page.token
        if not token:
            return found
