"""The bell listener: hears job ids on the broker and passes them on to its supervisor."""
