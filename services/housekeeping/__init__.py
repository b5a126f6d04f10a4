"""Caretakers that repair and tidy up, a file each, at their own pace."""
