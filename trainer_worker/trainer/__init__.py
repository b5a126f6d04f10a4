"""The trainer: one process, one job, the only place where weights are moved."""
