"""Can it overflow? Proofs for accumulators and integer models, audits of intermediates of nonlinearities."""

from lowbit.proof.model import ModelProof, prove_model
from lowbit.proof.nonlinear.audit import audit, longest_row
from lowbit.proof.nonlinear.result import AuditReport, Finding
from lowbit.proof.nonlinear.subject import AUDITS

__all__ = ["AUDITS", "AuditReport", "Finding", "ModelProof", "audit", "longest_row", "prove_model"]
