"""Admission: by which policy an artifact was let into a registry, and whether that policy was passed over."""

import datetime
from typing import Self

from pydantic import Field

from quantkit.artifact import Artifact
from quantkit.errors import PublishRefused
from quantkit.records.record import Report
from quantkit.registry.evidence import ADMISSION, Evidence
from quantkit.registry.policy import POLICY, RegistryPolicy
from quantkit.registry.signing import Signer, require_one_of


class Admission(Report):
    """The policy as it was, and the reason for which a publisher passed over it."""

    format: str = Field(default="quantkit/admission/1", alias="schema")
    policy: RegistryPolicy
    override: str | None = Field(default=None, description="the publisher's reason; null: the policy was met")
    unmet: tuple[str, ...] = Field(default=(), description="what was passed over")

    @classmethod
    def of(cls, artifact: Artifact) -> Self | None:
        """Return the admission of a published artifact; None when it was published without.

        Raises:
            ArtifactError: the file is not of its form.
        """
        path = artifact.report_path(ADMISSION)
        return cls.read(path) if path.is_file() else None


def admit(
    artifact: Artifact,
    evidence: Evidence,
    policy: RegistryPolicy,
    *,
    override: str | None,
    signer: Signer | None,
) -> Admission:
    """Return the admission of an artifact to a registry of this policy.

    A reason passes over floors. It does not pass over signers: who may give a reason, they say too.

    Args:
        artifact: to be published.
        evidence: judged again.
        policy: of the registry.
        override: the publisher's reason to pass over what is not met.
        signer: will sign it as it is published; None: nobody.

    Raises:
        PublishRefused: the policy is not met, and is not passed over or may not be.
        UsageError: the key cannot sign.
    """
    unmet = policy.unmet(evidence.gate, evidence.int8_coverage)
    unmet += policy.too_old(evidence.evaluation, datetime.datetime.now(datetime.UTC))
    missed = f"{artifact.path}: the registry's {POLICY} is not met"
    if policy.signers and (signer is None or not signer.is_one_of(policy.signers)):
        by = "nobody" if signer is None else f"{signer.key}"
        named = ", ".join(map(str, policy.signers))
        raise PublishRefused(f"{missed}: signed by {by}, and signers are {named}; sign with --sign-key")
    if not unmet:
        return Admission(policy=policy)
    where = f"{missed}: {unmet[0]}"
    if override is None:
        hint = "; give a reason with --override" if policy.override else ""
        raise PublishRefused(f"{where}{hint}")
    if not policy.override:
        raise PublishRefused(f"{where}; --override is not allowed there")
    if not override.strip():
        raise PublishRefused(f"{where}; --override needs a reason in words")
    return Admission(policy=policy, override=override.strip(), unmet=tuple(unmet))


def still_admitted(artifact: Artifact, evidence: Evidence, policy: RegistryPolicy | None) -> bool:
    """Check that a published artifact meets the policy now; its age was looked at when it was published.

    Args:
        artifact: published.
        evidence: judged again.
        policy: of the registry it is in; None: it was copied out, and is held to the policy that let it in.

    Returns:
        Whether one of the policy's signers has signed it; False where the policy has none.

    Raises:
        PublishRefused: it does not, and no recorded reason passes over it.
        RegistryError: none of the policy's signers has signed it, which no reason passes over.
        ArtifactError: the admission is not of its form.
        UsageError: the policy has signers, and model-signing is not installed.
    """
    admission = Admission.of(artifact)
    policy = policy or (admission.policy if admission else RegistryPolicy())
    unmet = policy.unmet(evidence.gate, evidence.int8_coverage)
    excused = policy.override and admission is not None and admission.override is not None
    if unmet and not excused:
        raise PublishRefused(f"{artifact.path}: the registry's {POLICY} is not met: {unmet[0]}")
    if policy.signers:
        require_one_of(artifact.path, policy.signers)
        return True
    return False
