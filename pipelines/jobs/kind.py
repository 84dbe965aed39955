"""A kind of job: an action that is done in a process of its own, and how that is told to people."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Concatenate, Generic, Literal, ParamSpec, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model

from model.errors import InvalidInput
from model.home import Home
from model.schemas.sent_file import Files, SentFile
from pipelines.actions.action import Caller, action_of

P = ParamSpec("P")
R = TypeVar("R")
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
class Outcome:
    """What became of a job, for people.

    Attributes:
        said: What is so now, or what went wrong, in a sentence.
        state: How it ended.
        hint: What to do about it.
        details: More on it, a line each: why it was refused, what was warned of.
    """

    said: str
    state: EndState = "succeeded"
    hint: str = ""
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """A job that may be begun: its kind, its arguments, which are valid, and the files among them."""

    kind: "Kind[Any, Any]"
    arguments: Mapping[str, Any]
    files: tuple[bytes, ...] = ()


def _nothing(*_: Any, **__: Any) -> None:
    """Nothing is checked."""


@dataclass(frozen=True)
class Kind(Generic[P, R]):
    """A kind of job.

    Attributes:
        name: Its name: letters and hyphens.
        group: What may be under way beside it.
        doing: What it does, for people, such as 'promoting version {version}'; `{argument}` stands for an argument.
        action: The action that is done.
        told: Tells people what came of it.
        check: Called as the action before a job is begun through the API: raises what is sure to go wrong.
        once: Whether the same arguments always have the same result, so that the action is done once for them.
    """

    name: str
    group: Group
    doing: str
    action: Callable[Concatenate[Caller, P], R]
    told: Callable[[R], Outcome]
    check: Callable[..., None] = _nothing
    once: bool = False

    def asked(self, *_: P.args, **arguments: P.kwargs) -> Asked:
        """A job of this kind. All arguments are named.

        Raises:
            InvalidInput: An argument is missing, unknown or of another type.
        """
        checked = self._checked(arguments)
        sent: Sequence[SentFile] = getattr(checked, self._files) if self._files else ()
        named = checked.model_dump(mode="json", exclude={self._files})
        if self._files:
            named[self._files] = [each.name for each in sent]
        return Asked(self, named, tuple(each.data for each in sent))

    def do(self, caller: Caller, arguments: Mapping[str, Any], files: Path) -> tuple[Any, Outcome]:
        """Do a job of this kind; returns what the action answers, as JSON, and what is told to people.

        Args:
            caller: Who asks, and who is told of events.
            arguments: As in `Asked`.
            files: Folder of the files among them, named by their numbers.

        Raises:
            InvalidInput: The arguments are not those of this kind.
            GlocalError: What the action raises.
        """
        given = dict(arguments)
        if self._files:
            names = enumerate(given.get(self._files, ()))
            given[self._files] = [SentFile.of(name, (files / str(number)).read_bytes()) for number, name in names]
        done = self.action(caller, **dict(self._checked(given)))  # type: ignore[call-arg]  # P, which was checked
        return TypeAdapter(action_of(self.action).result).dump_python(done, mode="json"), self.told(done)

    def check_kept(self, arguments: Mapping[str, Any]) -> None:
        """Refuse arguments on record that are not those of this kind; files among them are their names.

        Raises:
            InvalidInput: An argument is missing, unknown or of another type.
        """
        self._checked({**arguments, **({self._files: ()} if self._files else {})})

    def _checked(self, arguments: Mapping[str, Any]) -> BaseModel:
        """The arguments as the types that the action states."""
        try:
            return self._arguments.model_validate(arguments)
        except ValidationError as error:
            first = error.errors()[0]
            named = ".".join(map(str, first["loc"]))
            raise InvalidInput(f"{named[:100]}: {first['msg']}.", "Load the page again, and send it once more.") from error

    @cached_property
    def _arguments(self) -> type[BaseModel]:
        """The schema of the action's own arguments."""
        own = action_of(self.action).parameters
        fields: dict[str, Any] = {
            each.name: (each.annotation, ... if each.default is each.empty else each.default) for each in own
        }
        return create_model(self.name, __config__=ConfigDict(extra="forbid"), **fields)

    @cached_property
    def _files(self) -> str:
        """Name of the argument that is files; empty if there is none."""
        return next((each.name for each in action_of(self.action).parameters if each.annotation == Files), "")


def kind(
    name: str,
    group: Group,
    doing: str,
    action: Callable[Concatenate[Caller, P], R],
    *,
    check: Callable[..., None] = _nothing,
    once: bool = False,
) -> Callable[[Callable[[R], Outcome]], Kind[P, R]]:
    """Make a kind of job of an action and the function that tells what came of it. It is listed in `pipelines.jobs.kinds`."""

    def made(told: Callable[[R], Outcome]) -> Kind[P, R]:
        return Kind(name, group, doing, action, told, check, once)

    return made
