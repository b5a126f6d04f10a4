"""Feedback: the ledger of votes, and the sets that are frozen from it."""
