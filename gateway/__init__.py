"""The front door: it knows who calls, what they may do and how much, and passes the call on."""
