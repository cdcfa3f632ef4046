"""The files under sql/: where they are, and the order in which they are run.

A file holds one relation and is named after it. It may refer to relations of its own layer and of those
before it; the order is found from these references.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from types import MappingProxyType

PACKAGE = Path(__file__).resolve().parent
# In a checkout it lies beside the package, where readers look for it; where that is installed, within it.
SQL_DIR = PACKAGE / "sql" if (PACKAGE / "sql").is_dir() else PACKAGE.parent / "sql"
if not (SQL_DIR / "marts").is_dir():
    raise ImportError(f"the SQL files are not in {SQL_DIR}: install the package anew")
ALIASES_MARKER = "        -- Aliases of the configuration."
NO_ALIASES: Mapping[str, str] = MappingProxyType({})
VIEW_LAYERS = ("staging", "marts")
REFERENCE = re.compile(r"\b(staging|marts)\.([a-z_]+)\b")
MART = re.compile(r"\bmarts\.")
VIEW_QUERY = re.compile(r"^create or replace view (\w+)\.(\w+) as\n(.*?);$", re.MULTILINE | re.DOTALL)
MOVED_COLUMN = re.compile(r"^    (\w+) = (.*?)(?=,\n    \w+ = |\Z)", re.MULTILINE | re.DOTALL)
SEVERITY = re.compile(r"^-- Severity: (\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Check:
    """A query that finds nothing when all is well; a `warning` does not make a check fail."""

    name: str
    query: str
    severity: str


def table_statements() -> list[str]:
    """The tables that dlt does not make."""
    return [path.read_text("utf-8") for path in sorted((SQL_DIR / "tables").glob("*.sql"))]


def migrations() -> dict[int, str]:
    """The statements that bring a warehouse to each version from the one before; version 1 was the first."""
    return {
        int(path.stem[:4]): path.read_text("utf-8") for path in sorted((SQL_DIR / "migrations").glob("*.sql"))
    }


def schema_version() -> int:
    """The version of the tables that this program makes."""
    return max(migrations(), default=1)


def view_statements(aliases: Mapping[str, str] = NO_ALIASES) -> list[str]:
    """Every view with its comments, each after those that it reads; `aliases` as in `with_aliases`."""
    files = {
        (layer, path.stem): path.read_text("utf-8")
        for layer in VIEW_LAYERS
        for path in (SQL_DIR / layer).glob("*.sql")
    }
    named = ("staging", "requestor_aliases")
    if named in files:
        files[named] = with_aliases(files[named], aliases)
    # Lists in order, not sets: the statements are to come out the same in every process.
    graph = {
        name: sorted(
            {
                (match[1], match[2])
                for match in REFERENCE.finditer(text)
                if (match[1], match[2]) in files and (match[1], match[2]) != name
            }
        )
        for name, text in sorted(files.items())
    }
    return [files[name] for name in TopologicalSorter(graph).static_order()]


def with_aliases(text: str, aliases: Mapping[str, str]) -> str:
    """The view of aliases with those of applications, by the name that the API tells, before its own."""
    own = {key.strip().lower(): name for key, name in aliases.items()}
    kept = [line for line in text.splitlines() if _alias_key(line) not in own]
    rows = [
        f"        ({_literal(key)}, {_literal(name)}, 'application')," for key, name in sorted(own.items())
    ]
    marker = kept.index(ALIASES_MARKER)
    return "\n".join([*kept[: marker + 1], *rows, *kept[marker + 1 :]]) + "\n"


def _alias_key(line: str) -> str | None:
    row = line.strip()
    return row[2:].split("'")[0] if row.startswith("('") else None


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def views_hash(aliases: Mapping[str, str] = NO_ALIASES) -> str:
    """What changes when any view does."""
    return hashlib.sha256("\n".join(view_statements(aliases)).encode()).hexdigest()


def mart_names() -> list[str]:
    """The marts, by name."""
    return sorted(path.stem for path in (SQL_DIR / "marts").glob("*.sql"))


def view_queries(layer: str) -> dict[str, str]:
    """The query of each view of a layer, by its name, each after those that it reads."""
    found = (VIEW_QUERY.search(statement) for statement in view_statements())
    return {match[2]: match[3] for match in found if match and match[1] == layer}


def reading_marts_of(schema: str, query: str) -> str:
    """The query with the marts that it reads taken from another schema, so that none is worked out again."""
    return MART.sub(f"{schema}.", query)


def renewals() -> dict[str, dict[str, str]]:
    """By mart, the columns that move in a published one with a later `as_of`, all else being as it was; and what to.

    An expression is about a row, named `former`.
    """
    return {
        path.stem: dict(MOVED_COLUMN.findall(path.read_text("utf-8").strip().rstrip(";")))
        for path in sorted((SQL_DIR / "renewal").glob("*.sql"))
    }


def checks() -> list[Check]:
    """The checks, by name."""
    return [_check(path) for path in sorted((SQL_DIR / "checks").glob("*.sql"))]


def _check(path: Path) -> Check:
    text = path.read_text("utf-8")
    severity = SEVERITY.search(text)
    return Check(path.stem, text.strip().rstrip(";"), severity[1].lower() if severity else "error")
