"""Structs of Thrift's compact protocol, read and written without knowing their fields.

As https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md describes it. What is read and
written again is the same bytes, those of fields included that nobody here knows of.
"""

from typing import Any

# By the number of a field: its type as the protocol codes it, and its value. That is a number, bytes, a truth, a
# struct, or for a list the type of what it holds and that.
Struct = dict[int, tuple[int, Any]]

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, _MAP, STRUCT = range(1, 13)
_INTEGERS = (I16, I32, I64)
_DOUBLE_SIZE = 8
# Of a list's first byte; so many or more items are counted behind it.
_COUNTED_BEHIND = 15
# The bits of a number that a byte carries; a higher one says that more follow.
_MORE = 0x80


class ThriftError(Exception):
    """These bytes are no struct."""


def read_struct(content: bytes) -> Struct:
    """The struct at the start of `content`; raises ThriftError where there is none."""
    try:
        return _Reader(content).struct()
    except (IndexError, RecursionError) as error:
        raise ThriftError("it ends too early") from error


def write_struct(struct: Struct) -> bytes:
    """Its bytes."""
    written = bytearray()
    _write_struct(written, struct)
    return bytes(written)


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._place = 0

    def struct(self) -> Struct:
        fields: Struct = {}
        number = 0
        while head := self._byte():
            step = head >> 4
            number = number + step if step else self._signed()
            kind = head & 0x0F
            fields[number] = (kind, kind == TRUE if kind in (TRUE, FALSE) else self._value(kind))
        return fields

    def _value(self, kind: int) -> Any:
        if kind in _INTEGERS:
            return self._signed()
        if kind == BINARY:
            return self._bytes(self._unsigned())
        if kind == STRUCT:
            return self.struct()
        if kind in (LIST, SET):
            return self._list()
        if kind in (BYTE, TRUE, FALSE):
            # A truth in a list takes a byte; in a struct its type tells it.
            return self._byte()
        if kind == DOUBLE:
            return self._bytes(_DOUBLE_SIZE)
        raise ThriftError(f"type {kind} is not known")

    def _list(self) -> tuple[int, list[Any]]:
        head = self._byte()
        kind, count = head & 0x0F, head >> 4
        if count == _COUNTED_BEHIND:
            count = self._unsigned()
        return kind, [self._value(kind) for _ in range(count)]

    def _byte(self) -> int:
        byte = self._content[self._place]
        self._place += 1
        return byte

    def _bytes(self, count: int) -> bytes:
        start, self._place = self._place, self._place + count
        if self._place > len(self._content):
            raise IndexError
        return self._content[start : self._place]

    def _signed(self) -> int:
        number = self._unsigned()
        return number >> 1 ^ -(number & 1)

    def _unsigned(self) -> int:
        byte = self._byte()
        number, shift = byte & (_MORE - 1), 7
        while byte & _MORE:
            byte = self._byte()
            number |= (byte & (_MORE - 1)) << shift
            shift += 7
        return number


def _write_struct(written: bytearray, struct: Struct) -> None:
    before = 0
    for number, (kind, value) in struct.items():
        told = (TRUE if value else FALSE) if kind in (TRUE, FALSE) else kind
        step = number - before
        if 0 < step <= 0x0F:
            written.append(step << 4 | told)
        else:
            written.append(told)
            _write_signed(written, number)
        if kind not in (TRUE, FALSE):
            _write_value(written, kind, value)
        before = number
    written.append(0)


def _write_value(written: bytearray, kind: int, value: Any) -> None:
    if kind in _INTEGERS:
        _write_signed(written, value)
    elif kind == BINARY:
        _write_unsigned(written, len(value))
        written += value
    elif kind == STRUCT:
        _write_struct(written, value)
    elif kind in (LIST, SET):
        item_kind, items = value
        if len(items) < _COUNTED_BEHIND:
            written.append(len(items) << 4 | item_kind)
        else:
            written.append(_COUNTED_BEHIND << 4 | item_kind)
            _write_unsigned(written, len(items))
        for item in items:
            _write_value(written, item_kind, item)
    elif kind == DOUBLE:
        written += value
    else:
        written.append(value)


def _write_signed(written: bytearray, number: int) -> None:
    _write_unsigned(written, number << 1 if number >= 0 else (-number << 1) - 1)


def _write_unsigned(written: bytearray, number: int) -> None:
    while number >= _MORE:
        written.append(number & (_MORE - 1) | _MORE)
        number >>= 7
    written.append(number)
