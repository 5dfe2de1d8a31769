"""Long work in named tasks: over processes or machines, noted as it is done, resumable. Knows nothing of the work."""

from lowbit.campaign.journal import Journal
from lowbit.campaign.run import Progress, run_tasks, unseen
from lowbit.campaign.workers import workers

__all__ = ["Journal", "Progress", "run_tasks", "unseen", "workers"]
