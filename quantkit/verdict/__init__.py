"""The verdict: what the evidence of a gate comes to, computed from nothing but that evidence.

    evidence   all that a verdict rests on, and the refusal of evidence that contradicts itself
    checks     requirement, observation, verdict: of scores, sizes, kernels
    kinship    the same of the baseline, and of where both come from
    judging    `judge`: evidence → GateReport
    recorded   the evidence as files beside a gate report: written by the gate, read by publish, verify and pull
    agreement  whether a report is the one that its evidence gives

Neither torch nor onnxruntime is needed, and no model is opened: whoever has the files can judge again.
"""

from quantkit.verdict.evidence import GateEvidence, evidence_of
from quantkit.verdict.judging import judge

__all__ = ["GateEvidence", "evidence_of", "judge"]
