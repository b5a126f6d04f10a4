"""What the verbs of jobs promise, on both databases."""
