"""Verbs on duels: is a version better than another?"""
