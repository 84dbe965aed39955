"""An action: a function that a person can ask for, the role that it needs, and its address in the JSON API."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_type_hints
from urllib.parse import quote, urlsplit

from pydantic import TypeAdapter

from model.environment import Environment, current_user
from model.errors import GlocalError, InvalidInput, Unavailable, error_of_code
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
"""Seconds that an action may take: a promotion waits for another one to end."""
ACTIONS: list["Action"] = []
"""All actions, in the order of their files."""


@dataclass(frozen=True)
class Caller:
    """Who asks, and of which home.

    Attributes:
        environment: The home, the registry and the settings of this machine.
        name: Name of the person, as records have it.
    """

    environment: Environment
    name: str


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


def ask(function: Callable[..., R], *, as_: str = "", **arguments: Any) -> R:
    """Do an action where it is to be done: at the dashboard that GLOCAL_SERVER names, else on this machine.

    Args:
        function: The action's function.
        as_: Name of who asks, on this machine; default: this user. A dashboard knows it by the key.
        arguments: The action's own arguments.

    Raises:
        GlocalError: What the action raises, here or there.
        Unavailable: No dashboard answers at that address.
    """
    environment = Environment()
    if not environment.server:
        return function(Caller(environment, as_ or current_user()), **arguments)
    known = next(each for each in ACTIONS if each.function is function)
    answer: R = _asked(environment, known, arguments)
    return answer


def refuse_elsewhere(environment: Environment, command: str) -> None:
    """Refuse what can be done on the machine itself alone, where a dashboard elsewhere is asked.

    Raises:
        InvalidInput: GLOCAL_SERVER, or `--server`, names a dashboard.
    """
    if environment.server:
        raise InvalidInput(
            f"{command} works on the machine of the home alone.", "Run it there, without --server and GLOCAL_SERVER."
        )


def _asked(environment: Environment, known: Action, arguments: dict[str, Any]) -> Any:
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
            headers={**(bearer(environment.key) if environment.key else {}), "Accept": "application/json"},
            timeout=httpx.Timeout(ANSWER_S, connect=10),
            trust_env=urlsplit(address).hostname not in {LOOPBACK, "localhost"},
        ) as client:
            answer = client.request(known.method, f"{address}{API}{path}", **sent)
    except httpx.HTTPError as error:
        raise Unavailable(f"No dashboard answers at {address}.", "On its machine: glocal dashboard start.") from error
    if not answer.is_success:
        raise _error(answer)
    try:
        return TypeAdapter(known.result).validate_json(answer.content)
    except ValueError as error:
        raise Unavailable(
            f"What answers at {address} is no dashboard of this version.", "Use one version on both sides."
        ) from error


def _error(answer: "httpx.Response") -> GlocalError:
    """The error that a dashboard named."""
    try:
        said = answer.json()
        return error_of_code(str(said["type"]).removeprefix(TYPE), str(said["title"])[:500], str(said.get("detail", ""))[:500])
    except (ValueError, KeyError, TypeError, AttributeError):
        return Unavailable(f"The dashboard answered with the status {answer.status_code}.", "Its log says why.")
