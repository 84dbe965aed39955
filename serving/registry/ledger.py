"""The ledger of promotions. Every attempt to change the version that serves is one run in MLflow."""

from typing import TYPE_CHECKING

from model.schemas.promotion import Promotion, PromotionOutcome
from serving.registry.store import experiment_id, open_client

if TYPE_CHECKING:
    from mlflow.entities import Run

PROMOTIONS = "glocal-promotions"
_LONGEST = 4000
"""Maximum characters of a reason that are kept."""
_SEARCHED = 1000
"""Maximum entries searched for the last attempt of each version."""
_STATUS: dict[PromotionOutcome, str] = {"failed": "FAILED", "killed": "KILLED"}


class Ledger:
    """The promotions of one registered model.

    Args:
        tracking_uri: `sqlite:///...` or an MLflow server.
        model: Name of the registered model.
    """

    def __init__(self, tracking_uri: str, model: str) -> None:
        self.model = model
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
        return str(run.info.run_id)

    def close(self, entry: str, outcome: PromotionOutcome, *, why: str = "") -> None:
        """Record how an attempt ended.

        Args:
            entry: The id that `begin` returned.
            outcome: How it ended.
            why: Text that replaces the reason; empty: the reason stays.
        """
        if why:
            self._client.set_tag(entry, "why", why[:_LONGEST])
        self._client.set_tag(entry, "outcome", outcome)
        self._client.set_terminated(entry, _STATUS.get(outcome, "FINISHED"))

    def outcomes(self, place: str) -> dict[str, str]:
        """The outcome of the last attempt to deploy each version in a place, by version; `begun` if no one closed it."""
        found: dict[str, str] = {}
        runs = self._client.search_runs(
            [self._experiment], f"tags.model = '{self.model}'", order_by=["attributes.start_time DESC"], max_results=_SEARCHED
        )
        for entry in map(self._entry, runs):
            if entry.place in {"", place}:
                found.setdefault(entry.version, entry.outcome)
        return found

    def unfinished(self) -> list[Promotion]:
        """The promotions that no one closed, newest first."""
        condition = f"tags.model = '{self.model}' and tags.outcome = 'begun'"
        runs = self._client.search_runs([self._experiment], condition, order_by=["attributes.start_time DESC"])
        return [self._entry(run) for run in runs]

    def _entry(self, run: "Run") -> Promotion:
        tags = run.data.tags
        return Promotion(
            id=run.info.run_id,
            model=self.model,
            when=run.info.start_time,
            by=tags.get("by", ""),
            why=tags.get("why", ""),
            before=tags.get("from", ""),
            version=tags.get("to", ""),
            release=tags.get("release", ""),
            outcome=tags.get("outcome", "begun"),
            place=tags.get("place", ""),
        )
