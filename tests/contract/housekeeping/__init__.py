"""What the caretakers promise, on both databases."""
