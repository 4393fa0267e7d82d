"""The policy of a registry: the floors that a gate must have been held to, whatever its own settings said.

`policy.yaml` at the top of a registry says them; what it leaves out, and a registry without one, has the strict
defaults below. Publishing enforces them, and verifying does again.
"""

import datetime
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from quantkit.errors import RegistryError
from quantkit.recipe.fields import Section
from quantkit.recipe.load import build_section
from quantkit.recipe.strict_yaml import Location, read_yaml
from quantkit.records import Evaluation, GateReport
from quantkit.registry.signers import TrustedSigner, with_files_read
from quantkit.report.digits import cut, short

POLICY = "policy.yaml"
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class RegistryPolicy(Section):
    """What an artifact's evidence must reach to be in a registry."""

    least_ratio: float = Field(
        default=0.99,
        gt=0,
        le=1,
        description="least F1 ratio over all questions; of policy statistical its lower bound",
    )
    policies: tuple[Literal["mlperf", "statistical"], ...] = Field(
        default=("mlperf", "statistical"),
        min_length=1,
        strict=False,
        description="policies a gate may have judged by",
    )
    least_confidence: float = Field(
        default=0.95, gt=0.5, lt=1, description="least one-sided confidence of a gate of policy statistical"
    )
    least_questions: int = Field(default=500, ge=1, description="least questions the gate asked")
    least_int8_coverage: float = Field(
        default=0.9, ge=0, le=1, description="least share of linear MACs in integer kernels"
    )
    reference_f1: tuple[float, ...] = Field(
        default=(90.874,),
        strict=False,
        description="fixed references that a gate may use instead of its baseline's F1",
    )
    students: bool = Field(
        default=True,
        description="whether a gate may have judged a student of its baseline's checkpoint: it was trained, and only "
        "whoever did it knows on what",
    )
    own_metrics: bool = Field(
        default=False,
        description="whether a gate may have judged by a metric of the publisher's own: its code is not run again, and "
        "its scores are taken as they were recorded",
    )
    datasets: tuple[Digest, ...] = Field(
        default=(), strict=False, description="sha256 of the datasets a gate may have asked; empty: any"
    )
    baselines: tuple[Digest, ...] = Field(
        default=(), strict=False, description="digests of the baselines that count; empty: any"
    )
    greatest_age_days: float | None = Field(
        default=None, gt=0, description="greatest age of the evaluations when they are published"
    )
    signers: tuple[TrustedSigner, ...] = Field(
        default=(),
        strict=False,
        description="public keys, or root certificates with an identity, of which one must have signed; "
        "empty: no signature is asked for",
    )
    override: bool = Field(
        default=False,
        description="whether a publisher may pass over this policy by giving a reason, which is recorded",
    )

    @classmethod
    def of(cls, registry: Path) -> "RegistryPolicy":
        """Return the policy of a registry: that of its `policy.yaml`, or the default.

        Raises:
            RegistryError: the file does not fit; naming the line and the key.
        """
        path = registry / POLICY
        return cls.read(path) if path.is_file() else cls()

    @classmethod
    def read(cls, path: Path) -> "RegistryPolicy":
        """Return the policy that a file says; the keys that it names are read too.

        Raises:
            RegistryError: it does not fit; naming the line and the key.
        """
        document = read_yaml(path)
        values = document.value if document.value is not None else {}
        if not isinstance(values, dict):
            raise RegistryError(f"{path}: expected keys such as least_ratio and least_questions")

        def name(location: Location) -> str:
            line = document.line(location)
            dotted = ".".join(str(part) for part in location)
            return f"{path}:{line}: {dotted}" if line else f"{path}: {dotted}"

        signers = with_files_read(values.get("signers"), path.parent, name(("signers",)))
        if signers is not None:
            values = {**values, "signers": signers}
        return build_section(cls, values, name=name, error=RegistryError)

    def as_yaml(self) -> str:
        """Return a policy.yaml that says the same, every key with what it means."""
        lines = []
        for name, field in type(self).model_fields.items():
            value = self.as_json()[name]
            lines += [f"# {field.description}", f"{name}: {json.dumps(value)}"]
        return "\n".join(lines)

    def said(self) -> str:
        """Return the floors in one line."""
        parts = [
            f"ratio >= {self.least_ratio:g}",
            f"questions >= {self.least_questions:,}",
            f"INT8 coverage >= {self.least_int8_coverage:g}",
            f"policy {' or '.join(self.policies)}",
            f"{len(self.datasets)} datasets by digest" if self.datasets else "any dataset",
        ]
        if self.baselines:
            parts.append(f"{len(self.baselines)} baselines by digest")
        if not self.students:
            parts.append("no students")
        if self.own_metrics:
            parts.append("own metrics")
        if self.greatest_age_days is not None:
            parts.append(f"evaluated in the last {self.greatest_age_days:g} days")
        if self.signers:
            parts.append(f"signed by {' or '.join(map(str, self.signers))}")
        parts.append("override with a reason" if self.override else "no override")
        return ", ".join(parts)

    def unmet(self, gate: GateReport, coverage: float) -> list[str]:
        """Return what a judged gate report falls short of, one short sentence each; empty when nothing.

        Args:
            gate: computed from its evidence.
            coverage: of the candidate's inspection.
        """
        faults = []
        proven = gate.ratio if gate.policy == "mlperf" else min(gate.ratio, gate.interval.low)
        if proven < self.least_ratio:
            faults.append(f"ratio {cut(proven)}, and least_ratio is {self.least_ratio:g}")
        if gate.policy not in self.policies:
            faults.append(f"judged by policy {gate.policy}, and policies are {', '.join(self.policies)}")
        confidence = (1 + gate.interval.confidence) / 2
        if gate.policy == "statistical" and confidence < self.least_confidence - 1e-9:
            faults.append(f"confidence {confidence:g}, and least_confidence is {self.least_confidence:g}")
        if gate.questions < self.least_questions:
            faults.append(f"{gate.questions} questions, and least_questions is {self.least_questions}")
        if coverage < self.least_int8_coverage:
            faults.append(
                f"INT8 coverage {cut(coverage)}, and least_int8_coverage is {self.least_int8_coverage:g}"
            )
        if gate.reference_f1 is not None and gate.reference_f1 not in self.reference_f1:
            allowed = ", ".join(f"{one:g}" for one in self.reference_f1) or "none"
            faults.append(f"fixed reference {gate.reference_f1:g}, and reference_f1 is {allowed}")
        if gate.settings.get("student") and not self.students:
            faults.append("judged as a student of its baseline, and students is false")
        if gate.own_metric and not self.own_metrics:
            faults.append(
                f"judged by {gate.metric}, a metric of the publisher's own, and own_metrics is false"
            )
        if self.datasets and gate.dataset not in self.datasets:
            faults.append(f"dataset {short(gate.dataset)} ({gate.dataset_name}) is none of datasets")
        if self.baselines and gate.baseline not in self.baselines:
            faults.append(f"baseline {short(gate.baseline)} is none of baselines")
        return faults

    def too_old(self, evaluation: Evaluation, now: datetime.datetime) -> list[str]:
        """Return why an evaluation is too old to be published; empty when it is not."""
        if self.greatest_age_days is None:
            return []
        try:
            made = datetime.datetime.strptime(evaluation.evaluated, _TIME).replace(tzinfo=datetime.UTC)
        except ValueError:
            return [
                f"nobody knows when it was evaluated, and greatest_age_days is {self.greatest_age_days:g}"
            ]
        age = (now - made).total_seconds() / 86_400
        if 0 <= age <= self.greatest_age_days:
            return []
        return [f"evaluated {evaluation.evaluated}, and greatest_age_days is {self.greatest_age_days:g}"]
