"""Optional packages that are treated as not installed, because nothing here uses them.

Arrow imports NumPy and pandas, and dlt Streamlit (it looks for secrets there), wherever they are installed, as they
are beside the dashboard: half a second of each command, and 70 MB. Looking for one of them (`find_spec`) raises too.
"""

import sys

ABSENT = ("numpy", "pandas", "streamlit")


class _Refusal:
    """A finder of modules that refuses those; Python asks it first."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        """None, for the next finder to look, or ImportError."""
        if name in ABSENT:
            raise ModuleNotFoundError(f"{name} is not used here", name=name)


def treat_as_absent() -> None:
    """From now on, in this process, importing one of them raises ImportError, as if it were not there."""
    sys.meta_path.insert(0, _Refusal())
