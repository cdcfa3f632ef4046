"""OData's `$filter`, over the properties that the API documents.

Owns the reading of a filter (the grammar is odata-query's) and the picking of rows by it. Never reads a
request and never writes an answer: what it does not accept is an `InvalidQueryError`, whose text is shown.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from odata_query import ast
from odata_query.exceptions import ODataException
from odata_query.grammar import ODataLexer, ODataParser

from simulator import times
from simulator.rows import FILTERABLE, TIME_PROPERTY, Row, Snapshot

Test = Callable[[Row], bool]
_CACHED_FILTERS = 64
_COMPARE: dict[type, Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}
_MIRROR: dict[type, type] = {ast.Gt: ast.Lt, ast.Lt: ast.Gt, ast.GtE: ast.LtE, ast.LtE: ast.GtE}
_FOREVER = 1 << 62


class InvalidQueryError(Exception):
    """The query is not one that the API takes; its text says why."""


def select(snapshot: Snapshot, text: str) -> Sequence[Row]:
    """The rows that the filter lets through, in the snapshot's order; raises `InvalidQueryError`."""
    found = snapshot.selected.get(text)
    if found is None:
        try:
            found = _select(snapshot, parse(text))
        except RecursionError as problem:
            raise InvalidQueryError("The node count limit of the filter has been exceeded.") from problem
        if len(snapshot.selected) >= _CACHED_FILTERS:
            snapshot.selected.clear()
        snapshot.selected[text] = found
    return found


def parse(text: str) -> ast._Node:
    """The filter's syntax tree; raises `InvalidQueryError`."""
    try:
        tree = ODataParser().parse(_one_item_lists(ODataLexer().tokenize(text)))
    except ODataException as problem:
        raise InvalidQueryError(f"Syntax error in '{text}'. {problem}") from problem
    if not isinstance(tree, ast._Node):
        raise InvalidQueryError(f"Syntax error in '{text}'.")
    return tree


def _one_item_lists(tokens: Iterator[Any]) -> Iterator[Any]:
    """Lets `in ('a')` pass: the grammar wants a comma in a list of one, the service does not."""
    depth, commas, previous = 0, 0, None
    for token in tokens:
        if token.type == "(" and (depth or previous == "IN"):
            depth += 1
        elif token.type == "," and depth == 1:
            commas += 1
        elif token.type == ")" and depth:
            depth -= 1
            if depth == 0 and commas == 0:
                yield _comma_before(token)
            commas = commas if depth else 0
        previous = token.type
        yield token


def _comma_before(token: Any) -> Any:
    comma = type(token)()
    comma.type, comma.value = ",", ","
    comma.lineno, comma.index = token.lineno, token.index
    return comma


def _select(snapshot: Snapshot, tree: ast._Node) -> Sequence[Row]:
    resource = snapshot.resource
    test = _boolean(resource, tree)
    ids = _id_set(tree)
    if ids is not None:
        found = [row for id in ids for row in snapshot.with_id(id)]
        return sorted(found, key=lambda row: row.updated, reverse=True)
    bounds = _time_range(resource, tree)
    if bounds is not None:
        low, high = bounds
        return [row for row in snapshot.rows if row.when is not None and low <= row.when < high]
    return [row for row in snapshot.rows if test(row)]


def _id_set(tree: ast._Node) -> dict[str, None] | None:
    """The ids of `id eq 'a' or id eq 'b' …` or `id in (…)`, each once; None when the filter is another."""
    ids: dict[str, None] = {}
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            pending += [node.right, node.left]
        elif isinstance(node, ast.Compare) and _is_id(node.left) and isinstance(node.comparator, ast.Eq):
            if not isinstance(node.right, ast.String):
                return None
            ids[node.right.val] = None
        elif isinstance(node, ast.Compare) and _is_id(node.left) and isinstance(node.right, ast.List):
            ids.update((item.val, None) for item in node.right.val if isinstance(item, ast.String))
        else:
            return None
    return ids


def _is_id(node: ast._Node) -> bool:
    return isinstance(node, ast.Identifier) and node.name == "id" and not node.namespace


def _time_range(resource: str, tree: ast._Node) -> tuple[int, int] | None:
    """[low, high) in ticks of `<time> ge a and <time> lt b`; None when the filter is another."""
    low, high = -_FOREVER, _FOREVER
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
            pending += [node.right, node.left]
            continue
        if not (isinstance(node, ast.Compare) and isinstance(node.left, ast.Identifier)):
            return None
        if node.left.name != TIME_PROPERTY[resource] or not isinstance(node.right, ast.DateTime | ast.Date):
            return None
        ticks = _moment(node.right)
        match node.comparator:
            case ast.GtE():
                low = max(low, ticks)
            case ast.Gt():
                low = max(low, ticks + 1)
            case ast.Lt():
                high = min(high, ticks)
            case ast.LtE():
                high = min(high, ticks + 1)
            case ast.Eq():
                low, high = max(low, ticks), min(high, ticks + 1)
            case _:
                return None
    return low, high


def _boolean(resource: str, node: ast._Node) -> Test:
    """A row's test for a node that must be true or false; raises `InvalidQueryError` where it cannot be."""
    match node:
        case ast.BoolOp(op=op, left=left, right=right):
            first, second = _boolean(resource, left), _boolean(resource, right)
            if isinstance(op, ast.And):
                return lambda row: first(row) and second(row)
            return lambda row: first(row) or second(row)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _boolean(resource, operand)
            return lambda row: not inner(row)
        case ast.Compare(comparator=ast.In(), left=ast.Identifier() as name, right=ast.List(val=items)):
            value = _property(resource, name)
            allowed = tuple(_literal(resource, name, item) for item in items)
            return lambda row: value(row) in allowed
        case ast.Compare():
            return _comparison(resource, node)
        case ast.Boolean():
            constant = node.py_val
            return lambda _row: constant
        case ast.Call(func=func):
            raise InvalidQueryError(f"The function '{_full_name(func)}' is not allowed.")
        case ast.Identifier():
            _property(resource, node)
    raise InvalidQueryError("The filter expression must evaluate to a boolean value.")


def _comparison(resource: str, node: ast.Compare) -> Test:
    comparator: type = type(node.comparator)
    left, right = node.left, node.right
    if isinstance(right, ast.Identifier) and not isinstance(left, ast.Identifier):
        left, right, comparator = right, left, _MIRROR.get(comparator, comparator)
    if not isinstance(left, ast.Identifier):
        raise InvalidQueryError("A comparison wants a property and a literal.")
    value, literal, compare = _property(resource, left), _literal(resource, left, right), _COMPARE[comparator]
    if comparator in (ast.Eq, ast.NotEq):
        return lambda row: compare(value(row), literal)
    if literal is None:
        return lambda _row: False

    def ordered(row: Row) -> bool:
        found = value(row)
        return isinstance(found, type(literal)) and compare(found, literal)

    return ordered


def _property(resource: str, name: ast.Identifier) -> Callable[[Row], Any]:
    if _full_name(name) not in FILTERABLE[resource]:
        raise InvalidQueryError(f"Could not find a property named '{_full_name(name)}' that $filter may use.")
    if name.name == "id":
        return lambda row: row.id
    if name.name == TIME_PROPERTY[resource]:
        return lambda row: row.when
    text = name.name
    return lambda row: row.value(text)


def _full_name(name: ast.Identifier) -> str:
    return ".".join((*name.namespace, name.name))


def _literal(resource: str, name: ast.Identifier, node: ast._Node) -> str | int | None:
    if isinstance(node, ast.Null):
        return None
    if name.name == TIME_PROPERTY[resource]:
        return _moment(node)
    if isinstance(node, ast.String):
        return node.val
    raise InvalidQueryError(
        "A binary operator with incompatible types was detected. "
        f"Found operand types 'Edm.String' ({name.name}) and '{type(node).__name__}'."
    )


def _moment(node: ast._Node) -> int:
    if isinstance(node, ast.DateTime | ast.Date):
        text = node.val if isinstance(node, ast.DateTime) else node.val + "T00:00:00Z"
        ticks = times.parse(text.upper())
        if ticks is not None:
            return ticks
    raise InvalidQueryError(
        "A time is written unquoted, with its zone, such as 2026-01-31T08:15:30.1234567Z."
    )
