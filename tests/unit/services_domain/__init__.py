"""The nouns of the house, without any I/O."""
