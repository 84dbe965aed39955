"""The decision of the gate, as decision.json holds it."""

from typing import ClassVar, Literal

from pydantic import AwareDatetime, Field, model_validator

from model.schemas.approval import ApprovalRule
from model.schemas.document import Document
from model.schemas.schema import Schema

DECISION = "decision.json"
"""File that holds a `Decision` in a folder of its own."""


class RuleResult(Schema):
    """One rule with the measured figure, and whether it held."""

    name: str = Field(description="Name of the setting of the gate")
    held: bool = Field(description="Whether the rule held")
    figure: float | None = Field(description="Measured figure; None if it is not finite")
    threshold: float | None = Field(description="Threshold of the rule; None if it has none")
    text: str = Field(description="The rule, the figure and the result as a sentence")


class ComparedChampion(Schema):
    """The model that served when the gate decided."""

    name: str = Field(description="Name of the registered model")
    version: str = Field(description="Version of the model")
    data: str = Field(description="Data it was trained on: name@revision")

    def __str__(self) -> str:
        return f"{self.name} version {self.version} trained on {self.data}"


class Decision(Document):
    """Whether a release may be registered and served, which requires that every rule held."""

    REMEDY: ClassVar[str] = "Run the pipeline again; the step gate writes the decision."
    format: Literal[1] = 1
    made_at: AwareDatetime = Field(description="When the gate decided")
    release: str = Field(description="Id of the candidate's release")
    passed: bool = Field(description="Whether every rule held")
    champion: ComparedChampion | None = Field(description="The champion that was compared with; None if there was none")
    approval: ApprovalRule | None = Field(None, description="Whose word it needs before it serves; None: nobody's")
    queries: int = Field(ge=0, description="Number of queries that the decision is based on: those with a possible match")
    rules: tuple[RuleResult, ...] = Field(min_length=1, description="Every rule")

    @model_validator(mode="after")
    def _consistent(self) -> "Decision":
        if self.passed is not all(rule.held for rule in self.rules):
            raise ValueError("the verdict and the rules contradict each other")
        return self

    @property
    def replaces(self) -> str:
        """The version that was champion when the gate decided; empty if none was."""
        return self.champion.version if self.champion else ""

    @property
    def refused(self) -> tuple[str, ...]:
        """The sentences of the rules that did not hold."""
        return tuple(rule.text for rule in self.rules if not rule.held)

    @property
    def refused_rules(self) -> tuple[str, ...]:
        """The rules that did not hold, such as `gate.max_regression`: most bear the name of a setting."""
        return tuple(f"gate.{rule.name}" for rule in self.rules if not rule.held)
