"""Rings the doorbell of the workers."""
