"""Which pipeline run something comes from, for people."""

from pydantic import AwareDatetime, Field

from model.schemas.schema import Schema


class RunOrigin(Schema):
    """The run that a report is shown for. A report may come from the cache of an earlier run; it is shown for this one."""

    run_id: str = Field(description="Id of the run in MLflow")
    name: str = Field("", description="Name of the run")
    why: str = Field("", description="Reason that the user gave")
    user: str = Field("", description="Who started the run")
    started_at: AwareDatetime | None = Field(None, description="When the run began")
    code_revision: str = Field("", description="Code of the run")
