"""Optional packages beside the program, which must not cost a command its time."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.absent import ABSENT

# Reads the configuration, as dlt does where there is no secrets.toml, and makes an Arrow array of a list.
LIKE_A_COMMAND = """
import sys
from pipelines.absent import treat_as_absent
treat_as_absent()
import pyarrow
from pipelines.config_values import read_sources
read_sources()
assert pyarrow.array(["a", None]).null_count == 1
print(*(name for name in sys.argv[1:] if name in sys.modules))
"""


@pytest.mark.parametrize("name", ABSENT)
def test_it_is_installed_here(name: str) -> None:
    assert importlib.util.find_spec(name), "the test below would prove nothing"


def test_a_command_imports_none_of_them(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", LIKE_A_COMMAND, *ABSENT],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "\n", "")


def test_the_program_treats_them_as_absent(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pipelines", "status"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    tried = [line.rpartition("|")[2].strip() for line in run.stderr.splitlines()]
    assert "dlt" in tried
    # Python lists a refused module as well, but nothing that it would have imported in turn.
    assert not [name for name in tried if name.split(".")[0] in ABSENT and "." in name]
