"""A list request's query string: which rows, from where, how many.

Owns `$filter`, `$top` and `$skip` and the texts of their refusal. Never touches a record.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from simulator.odata import InvalidQueryError

MAX_TOP = 10_000
_KNOWN = ("$filter", "$top", "$skip")
_INTEGER = re.compile(r"\d{1,9}", re.ASCII)


@dataclass(frozen=True)
class ListQuery:
    """`top` is None when the request names none."""

    filter: str | None = None
    top: int | None = None
    skip: int = 0


def parse(params: Iterable[tuple[str, str]]) -> ListQuery:
    """Reads the decoded parameters; raises `InvalidQueryError`. Those without `$` are of no account."""
    options: dict[str, str] = {}
    for name, value in params:
        if not name.startswith("$"):
            continue
        if name not in _KNOWN:
            raise InvalidQueryError(f"Custom query option '{name}' that starts with '$' is not supported.")
        if name in options:
            raise InvalidQueryError(f"Query option '{name}' was specified more than once.")
        options[name] = value
    top = _integer("$top", options["$top"]) if "$top" in options else None
    if top is not None and top > MAX_TOP:
        raise InvalidQueryError(
            f"The limit of '{MAX_TOP}' for Top query has been exceeded. "
            f"The value from the incoming request is '{top}'."
        )
    skip = _integer("$skip", options["$skip"]) if "$skip" in options else 0
    if options.get("$filter", "x").strip() == "":
        raise InvalidQueryError("The value for OData query '$filter' cannot be empty.")
    return ListQuery(options.get("$filter"), top, skip)


def _integer(name: str, value: str) -> int:
    if _INTEGER.fullmatch(value) is None:
        raise InvalidQueryError(
            f"Invalid value '{value}' for {name} query option found. "
            f"The {name} query option requires a non-negative integer value."
        )
    return int(value)
