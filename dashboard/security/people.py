"""People and their roles."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Depends, Request

from model.errors import Forbidden, Unauthorized

_LONGEST = 100
"""Maximum characters of a name."""


class Role(StrEnum):
    """What a person may do; each role may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def allows(self, asked: "Role") -> bool:
        """Whether this role may do what `asked` may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(asked)


@dataclass(frozen=True)
class Person:
    """Who sends a request.

    Attributes:
        name: The name that records of changes hold.
        role: What the person may do.
        csrf: What the forms of the person's session must send along; empty for a request with a key, which no other site has.
    """

    name: str
    role: Role
    csrf: str = ""


@dataclass(frozen=True)
class Roles:
    """Who has which role, of the people that somebody else has signed in.

    Attributes:
        viewers: Names of viewers; `*`: everybody.
        operators: Names of operators.
        admins: Names of admins.
    """

    viewers: frozenset[str] = frozenset()
    operators: frozenset[str] = frozenset()
    admins: frozenset[str] = frozenset()

    def of(self, name: str) -> Role | None:
        """The role of a person; None for a person who has none."""
        if name in self.admins:
            return Role.ADMIN
        if name in self.operators:
            return Role.OPERATOR
        return Role.VIEWER if name in self.viewers or "*" in self.viewers else None


def is_name(text: str) -> bool:
    """Whether a text that somebody else vouches for can be a person's name: logs, records and processes hold it."""
    return 0 < len(text) <= _LONGEST and text.isprintable()


def person_of(request: Request) -> Person:
    """Who sends the request, as the guard found.

    Raises:
        Unauthorized: The request shows neither a session nor a key.
    """
    person: Person | None = request.scope.get("person")
    if person is None:
        raise Unauthorized(
            "This page is for people who have signed in.", "Print a link on the dashboard's machine: glocal dashboard link."
        )
    return person


def requiring(role: Role) -> Any:
    """A dependency of FastAPI: the person who asks, who must have this role."""

    def required(request: Request) -> Person:
        person = person_of(request)
        if not person.role.allows(role):
            raise Forbidden(
                f"This needs the role {role}; {person.name} has the role {person.role}.", "Ask an admin of this dashboard."
            )
        return person

    return Depends(required)


Viewer = Annotated[Person, requiring(Role.VIEWER)]
Operator = Annotated[Person, requiring(Role.OPERATOR)]
Admin = Annotated[Person, requiring(Role.ADMIN)]
