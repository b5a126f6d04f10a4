"""The nouns of the house: frozen values, their transitions, their limits. No I/O, no clock, no randomness."""
