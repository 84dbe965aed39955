"""Challenges in the gateway: requests that name no version are shared between the champion and its challenger.

shadow    the champion answers; a share of its requests is then asked of the challenger as well, and the answers are compared
canary    the challenger answers the requests of a share of the keys; what it cannot answer, or not in time, the champion does

What time it has follows from the champion's own. A challenger that fails too often or takes too long is not asked any more: see
`serving.gateway.trial`.
"""

import asyncio
import contextlib
import hashlib
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from model.errors import GlocalError, Unavailable
from model.schemas.challenge import Aborted
from serving.backends.port import Asking, Served
from serving.gateway.aborted import reason_of, write_aborted
from serving.gateway.batches import Answers
from serving.gateway.challenge_metrics import ChallengeMetrics, Share
from serving.gateway.comparison import compare
from serving.gateway.room import Room
from serving.gateway.trial import MAX_PATIENCE_S, Challenger, Like, Trial
from serving.operations.query import Query, size_of

MAX_MIRRORED = 4
"""Maximum requests that are asked of challengers in the background at a time; beyond, a request is not mirrored."""
Attempt = asyncio.Task[tuple[Answers, float]]
"""A challenger that is asked: its answers, and the seconds that it took."""
_log = logging.getLogger("glocal.gateway")


class Challenges:
    """Who answers a request: the champion, or its challenger.

    Args:
        backend: Who is asked.
        challengers: The challengers now, by name of the model.
        aborted: File of the aborted challenges.
        room: Where the bytes count for which no caller waits.
    """

    def __init__(
        self, backend: Asking, challengers: Callable[[], Mapping[str, Challenger]], aborted: Path, room: Room | None = None
    ) -> None:
        self._backend, self._challengers, self._aborted, self._room = backend, challengers, aborted, room or Room()
        self._trials: dict[str, Trial] = {}
        self._mirrored: set[asyncio.Task[None]] = set()
        self._attempts: set[Attempt] = set()
        self.metrics = ChallengeMetrics(self._shares)

    async def ask(self, served: Served, queries: Sequence[Query], key: str) -> Answers:
        """Answer a request that names no version.

        Args:
            served: The version that serves.
            queries: Its queries, at least one, all of one operation.
            key: Id of the caller's key. A key that a canary answers stays with it.

        Raises:
            GlocalError: See `Asking.ask`, of the champion. No error is the challenger's.
        """
        trial = self._trial(served)
        if trial is None or trial.aborted:
            return await self._backend.ask(served, queries)
        challenge = trial.challenger.challenge
        if challenge.mode == "canary" and is_chosen(key, served.name, challenge.share):
            return await self._ask_canary(trial, served, queries)
        answers = await self._ask_champion(trial, served, queries)
        if challenge.mode == "shadow" and random.random() < challenge.share:
            self._mirror(trial, queries, answers)
        return answers

    def tried(self) -> list[Served]:
        """The versions that are tried now."""
        return [challenger.served for challenger in self._challengers().values()]

    def _trial(self, served: Served) -> Trial | None:
        """The trial of a model's challenger, a new one if the challenge was started anew."""
        challenger = self._challengers().get(served.name)
        if challenger is None or challenger.served.version == served.version:
            self._trials.pop(served.name, None)
            return None
        trial = self._trials.get(served.name)
        if trial is None or trial.challenger != challenger:
            trial = self._trials[served.name] = Trial(challenger, self._reason(challenger))
        return trial

    async def _ask_champion(self, trial: Trial, served: Served, queries: Sequence[Query]) -> Answers:
        began = time.perf_counter()
        answers = await self._backend.ask(served, queries)
        seconds = time.perf_counter() - began
        if not any(_is_error(answer) for answer in answers):
            trial.champion_took(_like(queries), seconds)
            self.metrics.took(served, _like(queries)[0], seconds)
        return answers

    def _begin(self, trial: Trial, queries: Sequence[Query]) -> Attempt:
        """Ask the challenger, at its own pace."""
        attempt = asyncio.create_task(self._ask_challenger(trial, queries))
        self._attempts.add(attempt)
        attempt.add_done_callback(self._attempts.discard)
        return attempt

    async def _ask_challenger(self, trial: Trial, queries: Sequence[Query]) -> tuple[Answers, float]:
        """The challenger's answers, errors for all of them if it does not answer, and the seconds that it took."""
        began = time.perf_counter()
        try:
            answers = await self._backend.ask(trial.challenger.served, queries)
        except Exception as error:  # whatever it is, it is not the caller's
            answers = [Unavailable(f"The challenger did not answer: {error}")] * len(queries)
        return answers, time.perf_counter() - began

    @staticmethod
    async def _heard(attempt: Attempt, queries: Sequence[Query], patience_s: float) -> tuple[Answers, float]:
        """What the challenger says in that time. What it has not answered by then counts as failed."""
        await asyncio.wait({attempt}, timeout=patience_s)
        if attempt.done():
            return attempt.result()
        return [Unavailable("The challenger did not answer in time.")] * len(queries), patience_s

    def _count(self, attempt: Attempt, queries: Sequence[Query]) -> None:
        """Count the bytes of an attempt for which no caller waits until nothing holds them any more."""
        if attempt.done():
            return
        size = size_of(queries)
        self._room.background += size

        def give_back(_: Attempt) -> None:
            self._room.background -= size

        attempt.add_done_callback(give_back)

    async def _ask_canary(self, trial: Trial, served: Served, queries: Sequence[Query]) -> Answers:
        """The challenger's answers if all of them come in time, else the champion's.

        Where the champion was never asked the like, it is asked at the same time, and sets the time for the challenger.
        """
        like, ours, began = _like(queries), None, time.perf_counter()
        attempt = self._begin(trial, queries)
        try:
            if trial.patience_s(like) is None:
                with contextlib.suppress(GlocalError):
                    ours = await self._ask_champion(trial, served, queries)
            patience_s = (trial.patience_s(like) or MAX_PATIENCE_S) - (time.perf_counter() - began)
            theirs, seconds = await self._heard(attempt, queries, max(0.0, patience_s))
        finally:
            attempt.cancel()
            self._count(attempt, queries)
        if not any(_is_error(answer) for answer in theirs):
            answers = theirs
        else:
            answers = ours if ours is not None else await self._ask_champion(trial, served, queries)
        self._note(trial, queries, answers, theirs, seconds)
        return answers

    def _mirror(self, trial: Trial, queries: Sequence[Query], ours: Answers) -> None:
        if len(self._mirrored) >= MAX_MIRRORED or not self._room.has_spare(size_of(queries)):
            self.metrics.skipped(trial.challenger.served, _like(queries)[0])
            return
        attempt = self._begin(trial, queries)
        self._count(attempt, queries)
        task = asyncio.create_task(self._compare(trial, queries, ours, attempt))
        self._mirrored.add(task)
        task.add_done_callback(self._mirrored.discard)

    async def _compare(self, trial: Trial, queries: Sequence[Query], ours: Answers, attempt: Attempt) -> None:
        try:
            theirs, seconds = await self._heard(attempt, queries, trial.patience_s(_like(queries)) or MAX_PATIENCE_S)
        finally:
            attempt.cancel()
        self._note(trial, queries, ours, theirs, seconds)
        for our, their in zip(ours, theirs, strict=True):
            if not isinstance(our, GlocalError) and not isinstance(their, GlocalError):
                self.metrics.compared(trial.challenger.served, _like(queries)[0], compare(our, their))

    def _note(self, trial: Trial, queries: Sequence[Query], answers: Answers, theirs: Answers, seconds: float) -> None:
        """Take note of a request of the challenger, and abort the challenge if it must be.

        What the challenger refuses and the champion answers is the challenger's failure. What both refuse is the caller's.
        """
        like, served = _like(queries), trial.challenger.served
        refused = [(_is_error(our), _is_error(their)) for our, their in zip(answers, theirs, strict=True)]
        if (False, True) in refused:
            trial.failed()
            self.metrics.failed(served, like[0])
        elif (True, True) not in refused:
            trial.answered(like, seconds)
            self.metrics.answered(served, like[0], seconds)
        if not trial.aborted and (fault := trial.fault()):
            self._abort(trial, fault)

    def _abort(self, trial: Trial, reason: str) -> None:
        trial.aborted = reason
        served, challenge = trial.challenger.served, trial.challenger.challenge
        _log.warning("The challenge of %s by version %s is aborted: %s", served.name, served.version, reason)
        try:
            entry = Aborted(version=served.version, started=challenge.started, reason=reason)
            write_aborted(self._aborted, served.name, entry)
        except OSError:
            _log.exception("%s cannot be written.", self._aborted)

    def _reason(self, challenger: Challenger) -> str:
        """Why a challenge was aborted earlier; empty if it was not."""
        return reason_of(self._aborted, challenger.served.name, challenger.served.version, challenger.challenge)

    def _shares(self) -> Iterator[Share]:
        for name, challenger in self._challengers().items():
            trial = self._trials.get(name)
            aborted = trial.aborted if trial and trial.challenger == challenger else self._reason(challenger)
            share = 0.0 if aborted else challenger.challenge.share
            yield Share(name, challenger.served.version, challenger.challenge.mode, share)


def is_chosen(key: str, name: str, share: float) -> bool:
    """Whether a canary of a model answers a key. A larger share chooses more keys, and all of those that it chose before."""
    digest = hashlib.sha256(f"{name}:{key}".encode()).digest()
    return bool(int.from_bytes(digest[:8]) < share * 2**64)


def _is_error(answer: object) -> bool:
    return isinstance(answer, GlocalError)


def _like(queries: Sequence[Query]) -> Like:
    return queries[0].operation.name, len(queries)
