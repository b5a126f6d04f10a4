"""Verbs on datasets and the uploads they arrive by."""
