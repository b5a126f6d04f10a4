"""The verbs that show what the service runs on."""
