"""The base class of all schemas."""

from pydantic import BaseModel, ConfigDict


class Schema(BaseModel):
    """An immutable value that refuses unknown fields, infinities and NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
