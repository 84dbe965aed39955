"""Approval: whose word a version needs before it serves, and what was said."""

from pydantic import Field

from model.schemas.schema import Schema


class ApprovalRule(Schema):
    """Whose word a version needs before it serves."""

    approvers: int = Field(ge=1, description="Number of operators who must approve it")
    own: bool = Field(False, description="Whether who started the run may be one of them")


class Approval(Schema):
    """What operators have said of a version. The last word of each counts."""

    model: str = Field(description="Name of the registered model")
    version: str = Field(description="Version")
    rule: ApprovalRule = Field(description="Whose word it needs")
    starter: str = Field(description="Who started the run that made it; empty if that is not on record")
    approved: tuple[str, ...] = Field((), description="Who approved it, as far as it counts")
    refused: tuple[str, ...] = Field((), description="Who refused it")
    void: tuple[str, ...] = Field((), description="Whose word was on another release, or on other evidence, than it has now")

    @property
    def missing(self) -> int:
        """Number of operators who must still approve it."""
        return max(0, self.rule.approvers - len(self.approved))

    @property
    def may_serve(self) -> bool:
        """Whether all has been said that it needs, and nothing against it."""
        return not self.missing and not self.refused
