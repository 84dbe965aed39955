"""A kind of job: a function with typed arguments, and how it is told to people."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Concatenate, Generic, Literal, ParamSpec

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from model.environment import Environment
from model.errors import InvalidInput
from model.home import Home
from model.progress import Progress, progress_text
from model.schemas.run_event import RunEvent

P = ParamSpec("P")
EndState = Literal["succeeded", "rejected", "awaiting", "failed"]


@dataclass(frozen=True)
class Group:
    """Kinds of which only so many jobs may be under way at once.

    Attributes:
        name: Its name.
        at_once: Jobs that may be under way.
        waits: Whether a job beyond them waits for its turn; else it is refused.
        rule: The same for people.
        meanwhile: What is so while a job is under way, for people.
        failed: What is so when one has failed.
        killed: What is so when one was killed, and what to do.
        lock: File whose lock others hold while they do the same; None if nobody else does it.
        may_be_ended: Whether a person may end a job before it is done.
        nice: By how much its processes leave the processor to others.
    """

    name: str
    at_once: int
    waits: bool
    rule: str
    meanwhile: str
    failed: str
    killed: str
    lock: Callable[[Home], Path] | None = None
    may_be_ended: bool = False
    nice: int = 0


@dataclass(frozen=True)
class Work:
    """What the function of a kind is given.

    Attributes:
        environment: The home, the registry and the settings.
        files: Folder of the files that the job was given.
        by: Name of who asked for it.
        why: The reason; empty if none was asked for.
        tell: Called with each event of a step.
    """

    environment: Environment
    files: Path
    by: str
    why: str
    tell: Callable[[RunEvent], None]

    def progress_of(self, step: str) -> Progress:
        """The function by which a step reports its progress."""

        def progress(done: int, total: int, what: str) -> None:
            text = progress_text(done, total, what)
            self.tell(RunEvent(step=step, event="progress", text=text, done=done, total=total))

        return progress


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        said: What is so now, or what went wrong, in a sentence.
        state: How it ended.
        hint: What to do about it.
        details: More on it, a line each: why it was refused, what was warned of.
        result: What it found or made, as it is kept.
    """

    said: str
    state: EndState = "succeeded"
    hint: str = ""
    details: tuple[str, ...] = ()
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A job that may be begun: its kind and its arguments, which are valid."""

    kind: "Kind[Any]"
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Kind(Generic[P]):
    """A kind of job.

    Attributes:
        name: Its name: letters and hyphens.
        group: What may be under way beside it.
        doing: What it does, for people, such as 'promoting version {version}'; `{argument}` stands for an argument.
        function: Does it.
    """

    name: str
    group: Group
    doing: str
    function: Callable[Concatenate[Work, P], Outcome]

    def asked(self, *_: P.args, **arguments: P.kwargs) -> Asked:
        """A job of this kind. All arguments are named.

        Raises:
            InvalidInput: An argument is missing, unknown or of another type.
        """
        return Asked(self, self.checked(arguments).model_dump(mode="json"))

    def do(self, work: Work, arguments: Mapping[str, Any]) -> Outcome:
        """Do a job of this kind.

        Raises:
            InvalidInput: The arguments are not those of this kind.
            GlocalError: What the function raises.
        """
        return self.function(work, **dict(self.checked(arguments)))  # type: ignore[call-arg]  # P, which was checked

    def checked(self, arguments: Mapping[str, Any]) -> BaseModel:
        """The arguments as the types that the function states."""
        try:
            return self._arguments.model_validate(arguments)
        except ValidationError as error:
            first = error.errors()[0]
            named = ".".join(map(str, first["loc"]))
            raise InvalidInput(f"{named[:100]}: {first['msg']}.", "Load the page again, and send it once more.") from error

    @cached_property
    def _arguments(self) -> type[BaseModel]:
        """The schema of the function's own arguments."""
        _, *own = inspect.signature(self.function, eval_str=True).parameters.values()
        fields: dict[str, Any] = {
            each.name: (each.annotation, ... if each.default is each.empty else each.default) for each in own
        }
        return create_model(self.name, __config__=ConfigDict(extra="forbid"), **fields)


def kind(name: str, group: Group, doing: str) -> Callable[[Callable[Concatenate[Work, P], Outcome]], Kind[P]]:
    """Make a function a kind of job. It is listed in `pipelines.jobs.kinds`."""

    def made(function: Callable[Concatenate[Work, P], Outcome]) -> Kind[P]:
        return Kind(name, group, doing, function)

    return made
