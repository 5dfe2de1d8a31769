"""Width audits: does any intermediate of an integer-only operation leave its declared width, for any row at all?"""

from lowbit.audit.audit import audit, longest_row
from lowbit.audit.result import AuditReport, Finding
from lowbit.audit.subject import AUDITS

__all__ = ["AUDITS", "AuditReport", "Finding", "audit", "longest_row"]
