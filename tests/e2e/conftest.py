"""Fixtures: the program with a configuration of its own."""

from support.program import program

__all__ = ["program"]
