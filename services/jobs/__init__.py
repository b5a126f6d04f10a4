"""The verbs of jobs, a file each; a transaction begins and ends in a verb."""
