"""Verbs on projects, their keys and the record of what was done."""
