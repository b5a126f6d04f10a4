"""Measurements that print ratios and the facts of the machine; nothing here asserts a time."""
