"""The base class of all schemas."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from model.errors import InvalidInput


class Schema(BaseModel):
    """An immutable value that refuses unknown fields, infinities and NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def given(cls, **fields: Any) -> Self:
        """The value of fields that a person gave.

        Raises:
            InvalidInput: A field is wrong; the message names it.
        """
        try:
            return cls(**fields)
        except ValidationError as error:
            first = error.errors()[0]
            name, told = ".".join(map(str, first["loc"])), first["msg"][:1].lower() + first["msg"][1:]
            raise InvalidInput(f"{name}: {told}, not {str(first['input'])[:100]!r}.") from error
