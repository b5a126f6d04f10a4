"""What a user would run instead: each module trains a model of a given shape, and yields after each step."""
