"""Duels, on both databases."""
