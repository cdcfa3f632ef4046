"""Fixtures: a simulator to sign in to, and the program with a configuration of its own."""

from support.program import program
from support.sign_in import stage

__all__ = ["program", "stage"]
