"""`python -m pipelines`: the same program as `defender-sync`."""

from pipelines.cli import program

program()
