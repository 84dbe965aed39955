"""An action: a function that a person can ask for, the role that it needs, and its address in the JSON API."""

import inspect
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_type_hints
from urllib.parse import quote, urlsplit

from pydantic import TypeAdapter

from model.environment import Environment, current_user
from model.errors import InvalidInput, Unavailable, error_of_code
from model.progress import Progress, progress_text
from model.schemas.run_event import RunEvent
from serving.protocol import LOOPBACK, TYPE, bearer

if TYPE_CHECKING:
    import httpx

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")
Method = Literal["GET", "POST", "DELETE"]
RoleName = Literal["viewer", "operator", "admin"]
API = "/api/v1"
"""Beginning of the addresses of all actions."""
ANSWER_S = 900.0
"""Seconds to wait for an answer."""
ASYNC = "respond-async"
"""Preference (RFC 7240, header `Prefer`) of who does not wait for an action that is done by a job: the answer is the job."""
_BEGUN = 202
"""Status of the answer that is a job."""
ACTIONS: list["Action"] = []
"""All actions, in the order of their files."""


def _untold(event: RunEvent) -> None:
    """Nobody is told of an event."""


@dataclass(frozen=True)
class Caller:
    """Who asks, and of which home.

    Attributes:
        environment: The home, the registry and the settings of this machine.
        name: Name of the person, as records have it.
        tell: Called with each event of an action that takes long.
    """

    environment: Environment
    name: str
    tell: Callable[[RunEvent], None] = _untold

    def progress_of(self, step: str) -> Progress:
        """The function by which a step reports its progress."""

        def progress(done: int, total: int, what: str) -> None:
            text = progress_text(done, total, what)
            self.tell(RunEvent(step=step, event="progress", text=text, done=done, total=total))

        return progress


@dataclass(frozen=True)
class Action:
    """An action.

    Attributes:
        function: Called with a `Caller` and the action's own arguments.
        method: HTTP method; what GET asks for changes nothing.
        path: Path after `API`; `{argument}` stands for an argument.
        role: The role that it needs.
    """

    function: Callable[..., Any]
    method: Method
    path: str
    role: RoleName

    @property
    def name(self) -> str:
        """Name of the function."""
        return self.function.__name__

    @property
    def parameters(self) -> list[inspect.Parameter]:
        """The action's own arguments, with their types."""
        hints = get_type_hints(self.function, include_extras=True)
        _, *own = inspect.signature(self.function).parameters.values()
        return [each.replace(annotation=hints[each.name]) for each in own]

    @property
    def result(self) -> Any:
        """Type of the result."""
        return get_type_hints(self.function)["return"]


def action(method: Method, path: str, role: RoleName = "viewer") -> Callable[[F], F]:
    """Put a function on the list of actions."""

    def listed(function: F) -> F:
        ACTIONS.append(Action(function, method, path, role))
        return function

    return listed


def action_of(function: Callable[..., Any]) -> Action:
    """The action of a function on the list."""
    return next(each for each in ACTIONS if each.function is function)


def ask(function: Callable[..., R], *, as_: str = "", tell: Callable[[RunEvent], None] = _untold, **arguments: Any) -> R:
    """Do an action where it is to be done: at the dashboard that GLOCAL_SERVER names, else on this machine.

    A dashboard does what takes long by a job, which is followed to its end.

    Args:
        function: The action's function.
        as_: Name of who asks, on this machine; default: this user. A dashboard knows it by the key.
        tell: Called with each event of an action that takes long.
        arguments: The action's own arguments.

    Raises:
        GlocalError: What the action raises, here or there.
        Unavailable: No dashboard answers at that address.
    """
    environment = Environment()
    if not environment.server:
        return function(Caller(environment, as_ or current_user(), tell), **arguments)
    answer: R = _asked(environment, action_of(function), arguments, tell)
    return answer


def check_reason(why: str) -> None:
    """Refuse a change without a reason.

    Raises:
        InvalidInput: There is none.
    """
    if not why.strip():
        raise InvalidInput("This needs a reason.", "Say why: --why 'better on birds'.")


def refuse_elsewhere(environment: Environment, command: str) -> None:
    """Refuse what can be done on the machine itself alone, where a dashboard elsewhere is asked.

    Raises:
        InvalidInput: GLOCAL_SERVER, or `--server`, names a dashboard.
    """
    if environment.server:
        raise InvalidInput(
            f"{command} works on the machine of the home alone.", "Run it there, without --server and GLOCAL_SERVER."
        )


def _asked(environment: Environment, known: Action, arguments: dict[str, Any], tell: Callable[[RunEvent], None]) -> Any:
    """The answer of a dashboard elsewhere."""
    import httpx  # which a command that asks nobody does not wait for

    address = environment.server.rstrip("/")
    if urlsplit(address).scheme not in {"http", "https"}:
        raise InvalidInput(f"{address[:200]!r} is no address of a dashboard.", "Such as --server https://glocal.example.org")
    types = {each.name: TypeAdapter(each.annotation) for each in known.parameters}
    values = {name: types[name].dump_python(value, mode="json") for name, value in arguments.items()}
    in_path = set(re.findall(r"{(\w+)(?::path)?}", known.path))
    path = re.sub(r"{(\w+)(?::path)?}", lambda found: quote(str(values[found[1]]), safe=""), known.path)
    rest = {name: value for name, value in values.items() if name not in in_path and value is not None}
    sent: dict[str, Any] = {"params": rest} if known.method == "GET" else {"json": rest}
    try:
        with httpx.Client(
            base_url=address,
            headers={**(bearer(environment.key) if environment.key else {}), "Accept": "application/json", "Prefer": ASYNC},
            timeout=httpx.Timeout(ANSWER_S, connect=10),
            trust_env=urlsplit(address).hostname not in {LOOPBACK, "localhost"},
        ) as client:
            answer = _checked(client.request(known.method, f"{API}{path}", **sent))
            content = answer.content if answer.status_code != _BEGUN else _followed(client, answer.headers["Location"], tell)
        return TypeAdapter(known.result).validate_json(content)
    except httpx.HTTPError as error:
        raise Unavailable(f"No dashboard answers at {address}.", "On its machine: glocal dashboard start.") from error
    except (ValueError, KeyError) as error:
        raise Unavailable(
            f"What answers at {address} is no dashboard of this version.", "Use one version on both sides."
        ) from error


def _followed(client: "httpx.Client", place: str, tell: Callable[[RunEvent], None]) -> bytes:
    """The result of a job that a dashboard has begun, once it has ended. Ctrl-C ends the waiting alone."""
    import httpx

    from pipelines.jobs.following import follow
    from pipelines.jobs.status import JobStatus

    try:
        ended = follow(lambda: JobStatus.model_validate_json(_checked(client.get(place)).content), tell)
    except httpx.HTTPError as error:
        hint = f"It goes on; follow it: glocal jobs show {place.rpartition('/')[2]} --wait."
        raise Unavailable("The dashboard that has begun it does not answer any more.", hint) from error
    return json.dumps(ended.outcome()).encode()


def _checked(answer: "httpx.Response") -> "httpx.Response":
    """An answer that is no error; else the error that the dashboard named is raised."""
    if answer.is_success:
        return answer
    try:
        said = answer.json()
        error = error_of_code(str(said["type"]).removeprefix(TYPE), str(said["title"])[:500], str(said.get("detail", ""))[:500])
    except (ValueError, KeyError, TypeError, AttributeError):
        error = Unavailable(f"The dashboard answered with the status {answer.status_code}.", "Its log says why.")
    raise error
