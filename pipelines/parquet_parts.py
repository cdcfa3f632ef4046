"""Parquet files put together from the row groups and columns of others, whose bytes are taken over as they are.

The footer says where each column of a row group lies: https://github.com/apache/parquet-format names its fields. Only
columns of plain values are known here, none of lists or structs.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Self

from pipelines.thrift import I64, LIST, STRUCT, Struct, ThriftError, read_struct, write_struct

MAGIC = b"PAR1"
# At the end of a file: how long the footer before it is, and the magic.
_TAIL = struct.Struct("<I4s")

# FileMetaData
_SCHEMA, _NUM_ROWS, _ROW_GROUPS = 2, 3, 4
# SchemaElement
_TYPE, _TYPE_LENGTH, _REPETITION, _NAME, _NUM_CHILDREN, _CONVERTED_TYPE = range(1, 7)
_OPTIONAL = 1
# Converted types that say no more than the type does: of 32 and of 64 bits, with a sign.
_PLAIN_INTEGERS = (17, 18)
# RowGroup
_COLUMNS, _TOTAL_BYTE_SIZE, _GROUP_NUM_ROWS, _FILE_OFFSET, _TOTAL_COMPRESSED_SIZE = 1, 2, 3, 5, 6
# ColumnChunk
_META_DATA = 3
# Where the pages' indexes lie, which are not taken over.
_INDEXES = (4, 5, 6, 7)
# ColumnMetaData
_PATH, _UNCOMPRESSED_SIZE, _COMPRESSED_SIZE, _DATA_PAGE, _DICTIONARY_PAGE = 3, 6, 7, 9, 11
_BLOOM_FILTER, _BLOOM_FILTER_LENGTH = 14, 15


class UnlikeError(Exception):
    """A file is not one of Parquet that can be taken over, or does not go together with another."""


@contextmanager
def _damage_told() -> Iterator[None]:
    """Raise UnlikeError for whatever a footer may lead to that tells nonsense."""
    try:
        yield
    except (ThriftError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise UnlikeError(f"the footer tells nonsense: {error}") from error


@dataclass(frozen=True)
class Column:
    """How a column's values are written, by the numbers of `SchemaElement`: their type, its length, what it stands for,
    and whether each row has one. Only columns that are written alike go together.
    """

    type: int | None
    length: int | None
    converted_type: int | None
    repetition: int | None

    @classmethod
    def of(cls, element: Struct) -> Self:
        """The column that an element of the schema tells of."""
        type_, length, converted_type, repetition = (
            element.get(field, (0, None))[1] for field in (_TYPE, _TYPE_LENGTH, _CONVERTED_TYPE, _REPETITION)
        )
        return cls(type_, length, None if converted_type in _PLAIN_INTEGERS else converted_type, repetition)

    @property
    def is_nullable(self) -> bool:
        """Whether a row may have none."""
        return self.repetition == _OPTIONAL


@dataclass(frozen=True)
class _Chunk:
    """The values of a column in a row group: the file they lie in, and what its footer tells of them."""

    file: BinaryIO
    told: Struct

    @property
    def meta_data(self) -> Struct:
        meta_data: Struct = self.told[_META_DATA][1]
        return meta_data

    @property
    def start(self) -> int:
        pages = (_DATA_PAGE, _DICTIONARY_PAGE)
        return min(int(self.meta_data[page][1]) for page in pages if page in self.meta_data)

    def read(self) -> bytes:
        return _read(self.file, self.start, self.meta_data[_COMPRESSED_SIZE][1])

    def read_bloom_filter(self) -> bytes | None:
        if not {_BLOOM_FILTER, _BLOOM_FILTER_LENGTH} <= self.meta_data.keys():
            return None
        return _read(self.file, self.meta_data[_BLOOM_FILTER][1], self.meta_data[_BLOOM_FILTER_LENGTH][1])


class Parts:
    """What a file is made of; raises UnlikeError unless it is one of Parquet, and every column one of plain values."""

    @_damage_told()
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.footer = read_struct(_footer(file))
        root, *elements = self.footer[_SCHEMA][1][1]
        if root[_NUM_CHILDREN][1] != len(elements) or any(_NUM_CHILDREN in each for each in elements):
            raise UnlikeError("it has columns within columns")
        self.columns = {element[_NAME][1].decode(): Column.of(element) for element in elements}
        self._row_groups: list[Struct] = self.footer[_ROW_GROUPS][1][1]
        self.row_counts = [int(group[_GROUP_NUM_ROWS][1]) for group in self._row_groups]

    def chunks(self, row_group: int) -> dict[str, _Chunk]:
        """The columns of a row group, by name, in order."""
        chunks = [_Chunk(self._file, told) for told in self._row_groups[row_group][_COLUMNS][1][1]]
        return {chunk.meta_data[_PATH][1][1][0].decode(): chunk for chunk in chunks}

    @_damage_told()
    def with_dictionary(self) -> list[str]:
        """The columns whose values are in a dictionary, in the first row group."""
        chunks = self.chunks(0) if self._row_groups else {}
        return [name for name, chunk in chunks.items() if _DICTIONARY_PAGE in chunk.meta_data]


class Assembly:
    """A file with the schema of another, to which row groups are added; it is whole once it was finished."""

    def __init__(self, target: BinaryIO, like: Parts) -> None:
        self._target = target
        self._like = like
        self._row_groups: list[Struct] = []
        self._bloom_filters: list[tuple[Struct, bytes]] = []
        target.write(MAGIC)

    @_damage_told()
    def add(self, parts: Parts, row_group: int, moved: tuple[Parts, int] | None = None) -> None:
        """Take over a row group; `moved`: but for the columns of another file's row group, which has as many rows."""
        chunks = self._chunks_of(parts, row_group)
        if moved is not None:
            if moved[0].row_counts[moved[1]] != parts.row_counts[row_group]:
                raise UnlikeError("the row groups have unequally many rows")
            chunks |= self._chunks_of(*moved)
        if chunks.keys() != self._like.columns.keys():
            raise UnlikeError("columns are missing")
        start = self._target.tell()
        columns = [self._take_over(chunks[name]) for name in self._like.columns]
        sizes = [
            sum(column[_META_DATA][1][size][1] for column in columns)
            for size in (_UNCOMPRESSED_SIZE, _COMPRESSED_SIZE)
        ]
        self._row_groups.append(
            {
                _COLUMNS: (LIST, (STRUCT, columns)),
                _TOTAL_BYTE_SIZE: (I64, sizes[0]),
                _GROUP_NUM_ROWS: (I64, parts.row_counts[row_group]),
                _FILE_OFFSET: (I64, start),
                _TOTAL_COMPRESSED_SIZE: (I64, sizes[1]),
            }
        )

    def _chunks_of(self, parts: Parts, row_group: int) -> dict[str, _Chunk]:
        for name, column in parts.columns.items():
            if self._like.columns.get(name) != column:
                raise UnlikeError(f"column {name} is written otherwise")
        return parts.chunks(row_group)

    def _take_over(self, chunk: _Chunk) -> Struct:
        moved_by = self._target.tell() - chunk.start
        self._target.write(chunk.read())
        meta_data = dict(chunk.meta_data)
        for page in (_DATA_PAGE, _DICTIONARY_PAGE):
            if page in meta_data:
                meta_data[page] = (I64, meta_data[page][1] + moved_by)
        bloom_filter = chunk.read_bloom_filter()
        if bloom_filter is not None:
            self._bloom_filters.append((meta_data, bloom_filter))
        told = {field: value for field, value in chunk.told.items() if field not in _INDEXES}
        told[_META_DATA] = (STRUCT, meta_data)
        return told

    @_damage_told()
    def finish(self) -> None:
        """Write what follows the row groups."""
        for meta_data, content in self._bloom_filters:
            meta_data[_BLOOM_FILTER] = (I64, self._target.tell())
            self._target.write(content)
        count = sum(group[_GROUP_NUM_ROWS][1] for group in self._row_groups)
        footer = write_struct(
            self._like.footer | {_NUM_ROWS: (I64, count), _ROW_GROUPS: (LIST, (STRUCT, self._row_groups))}
        )
        self._target.write(footer + _TAIL.pack(len(footer), MAGIC))


def _footer(file: BinaryIO) -> bytes:
    size = file.seek(0, 2)
    if size < _TAIL.size:
        raise UnlikeError("it is too short for one of Parquet")
    length, magic = _TAIL.unpack(_read(file, size - _TAIL.size, _TAIL.size))
    if magic != MAGIC:
        raise UnlikeError("it does not end like one of Parquet")
    return _read(file, size - _TAIL.size - length, length)


def _read(file: BinaryIO, start: int, count: int) -> bytes:
    file.seek(start)
    content = file.read(count)
    if len(content) != count:
        raise UnlikeError("it is shorter than it says")
    return content
