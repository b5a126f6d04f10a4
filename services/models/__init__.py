"""Verbs on models and their versions."""
