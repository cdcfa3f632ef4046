"""The queries: one file of queries/ each, their parameters, and their text as anybody can run it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "queries"
PARAMETER = re.compile(r"\$([a-z_]+)")


@dataclass(frozen=True)
class Query:
    """A query by name, with values for the parameters that it has."""

    name: str
    text: str
    values: tuple[tuple[str, Any], ...]

    @property
    def shown(self) -> str:
        """The query with its values in place: what DuckDB runs on the published file as it stands."""
        values = dict(self.values)
        return PARAMETER.sub(lambda match: literal(values[match[1]]), self.text)


def query(name: str, values: Mapping[str, Any]) -> Query:
    """The query of queries/`name`.sql; of `values` it takes what it asks for."""
    text = _text(name)
    asked = dict.fromkeys(PARAMETER.findall(text))
    return Query(name, text, tuple((each, values[each]) for each in asked))


def names() -> list[str]:
    """All queries, by name."""
    return sorted(path.stem for path in FOLDER.glob("*.sql"))


@cache
def _text(name: str) -> str:
    return (FOLDER / f"{name}.sql").read_text().strip().rstrip(";")


def literal(value: Any) -> str:
    """A value as DuckDB writes it."""
    if value is None:
        return "null"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(literal(each) for each in value) + "]::varchar[]"
    if isinstance(value, datetime):
        return f"timestamptz '{value.astimezone(UTC).isoformat(sep=' ')}'"
    if isinstance(value, bool | int | float):
        return str(value).lower()
    return "'" + str(value).replace("'", "''") + "'"
