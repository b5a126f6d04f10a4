"""The internal language: what the rooms of the house say to each other."""
