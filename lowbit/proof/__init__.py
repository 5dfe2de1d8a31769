"""Can it overflow? Proofs for accumulators, and audits of the intermediates of integer-only operations."""

from lowbit.proof.nonlinear.audit import audit, longest_row
from lowbit.proof.nonlinear.result import AuditReport, Finding
from lowbit.proof.nonlinear.subject import AUDITS

__all__ = ["AUDITS", "AuditReport", "Finding", "audit", "longest_row"]
