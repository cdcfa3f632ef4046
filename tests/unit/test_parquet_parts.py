"""Parquet files put together from parts of others: each value is what it was; what does not go together is told."""

from __future__ import annotations

import io
from itertools import pairwise

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.parquet_parts import Assembly, Parts, UnlikeError

TYPES = {
    "text": (pa.string(), st.text(max_size=5)),
    "kind": (pa.string(), st.sampled_from(["Isolate", "Unisolate"])),
    "number": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "small": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "share": (pa.float64(), st.floats(allow_nan=False)),
    "flag": (pa.bool_(), st.booleans()),
    "moment": (pa.timestamp("us", tz="UTC"), st.integers(0, 2**50)),
}


def written(table: pa.Table, cuts: list[int], **options) -> io.BytesIO:
    """A file with a row group between each two of these rows."""
    file = io.BytesIO()
    with pq.ParquetWriter(file, table.schema, store_schema=False, **options) as writer:
        for start, end in pairwise(cuts):
            writer.write_table(table.slice(start, end - start), row_group_size=max(end - start, 1))
    return file


@st.composite
def tables(draw, names=tuple(TYPES)):
    count = draw(st.integers(1, 40))
    columns, fields = [], []
    for name in names:
        type_, values = TYPES[name]
        nullable = draw(st.booleans())
        values = st.none() | values if nullable else values
        columns.append(pa.array(draw(st.lists(values, min_size=count, max_size=count)), type_))
        fields.append(pa.field(name, type_, nullable=nullable))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


@settings(deadline=None)
@given(tables(), st.data())
def test_row_groups_and_moved_columns_tell_what_they_told(table, data):
    inside = data.draw(st.lists(st.integers(1, len(table)), unique=True, max_size=4))
    cuts = sorted({0, len(table), *inside})
    parts = Parts(written(table, cuts, compression="zstd"))
    names = data.draw(st.lists(st.sampled_from(list(TYPES)), unique=True))
    # The same rows the other way round, for other values of the same types.
    turned = table.take(list(range(len(table)))[::-1]).select(names)
    moved = Parts(written(turned, cuts, compression="snappy")) if names else None
    target = io.BytesIO()
    assembly = Assembly(target, parts)
    groups = data.draw(st.lists(st.integers(0, len(cuts) - 2), max_size=6))
    for group in groups:
        assembly.add(parts, group, moved=(moved, group) if moved else None)
    assembly.finish()

    expected = table
    for name in names:
        place = expected.schema.get_field_index(name)
        expected = expected.set_column(place, table.schema.field(name), turned[name])
    rows = [row for group in groups for row in range(cuts[group], cuts[group + 1])]
    assert (
        pq.read_table(io.BytesIO(target.getvalue())).to_pylist()
        == expected.take(pa.array(rows, pa.int64())).to_pylist()
    )
    assert Parts(target).row_counts == [cuts[group + 1] - cuts[group] for group in groups]


def test_duckdb_reads_what_it_wrote_itself_and_what_was_moved(tmp_path):
    path, target = tmp_path / "former.parquet", tmp_path / "target.parquet"
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    query = (
        "select i as id, 'name ' || i % 7 as name, if(i % 3 = 0, null, i / 2) as half, "
        "timestamptz '2026-12-01 00:00:00+00' as as_of from range(10000) rows (i)"
    )
    connection.execute(f"copy ({query}) to '{path}' (format parquet, compression zstd, row_group_size 2048)")
    later = "timestamptz '2026-12-02 12:00:00+00'"
    with path.open("rb") as file, target.open("wb") as to:
        parts = Parts(file)
        assembly = Assembly(to, parts)
        for group, count in enumerate(parts.row_counts):
            table = connection.sql(f"select {later} as as_of from range({count})").to_arrow_table()
            schema = pa.schema([table.schema.field(0).with_nullable(parts.columns["as_of"].is_nullable)])
            moved = Parts(written(table.cast(schema), [0, count]))
            assembly.add(parts, group, moved=(moved, 0))
        assembly.finish()
    assert len(parts.row_counts) > 2
    expected = f"select * replace ({later} as as_of) from ({query})"
    for one, other in ((expected, f"from '{target}'"), (f"from '{target}'", expected)):
        assert connection.execute(f"({one}) except all ({other})").fetchall() == []
    for name, is_out in (("name 3", False), ("name 8", True)):
        probed = connection.execute(f"from parquet_bloom_probe('{target}', 'name', '{name}')").fetchall()
        assert [row[-1] for row in probed] == [is_out] * len(parts.row_counts), "the filters moved along"


def test_where_pages_are_indexed_is_not_told_as_they_moved():
    table = pa.table({"number": list(range(1000))})
    parts = Parts(written(table, [0, 500, 1000], write_page_index=True))
    target = io.BytesIO()
    assembly = Assembly(target, parts)
    assembly.add(parts, 1)
    assembly.finish()
    column = pq.read_metadata(target).row_group(0).column(0)
    assert not column.has_offset_index
    assert not column.has_column_index
    assert pq.read_table(target)["number"].to_pylist() == list(range(500, 1000))


def nested() -> pa.Table:
    return pa.table({"list": [[1], [2]]})


PLAIN = pa.table({"number": [1, 2], "text": ["a", "b"]})


@pytest.mark.parametrize(
    "content",
    [b"", b"PAR1", b"no file of this kind", b"\xff" * 4 + b"PAR1", written(nested(), [0, 2]).getvalue()],
    ids=["empty", "short", "other", "too long a footer", "lists"],
)
def test_what_cannot_be_taken_over_is_told(content):
    with pytest.raises(UnlikeError):
        Parts(io.BytesIO(content))


def optional(table: pa.Table, **changes: pa.DataType) -> pa.Table:
    """The table with columns of other types."""
    fields = [pa.field(each.name, changes.get(each.name, each.type)) for each in table.schema]
    return table.cast(pa.schema(fields))


@pytest.mark.parametrize(
    "other",
    [
        optional(PLAIN, number=pa.int32()),
        optional(PLAIN, number=pa.timestamp("us")),
        optional(PLAIN, text=pa.binary()),
        PLAIN.cast(
            pa.schema([pa.field("number", pa.int64(), nullable=False), pa.field("text", pa.string())])
        ),
        PLAIN.append_column("more", [[1, 2]]),
        PLAIN.slice(0, 1),
    ],
    ids=["of another size", "times", "no text", "never empty", "one more", "fewer rows"],
)
def test_a_row_group_is_not_mixed_with_what_is_written_otherwise(other):
    parts = Parts(written(PLAIN, [0, 2]))
    with pytest.raises(UnlikeError):
        Assembly(io.BytesIO(), parts).add(parts, 0, moved=(Parts(written(other, [0, len(other)])), 0))


def test_a_row_group_without_one_of_the_columns_is_not_added():
    parts = Parts(written(PLAIN, [0, 2]))
    with pytest.raises(UnlikeError):
        Assembly(io.BytesIO(), parts).add(Parts(written(PLAIN.select(["text"]), [0, 2])), 0)


@given(st.data())
def test_a_damaged_footer_is_told_or_harmless(data):
    content = bytearray(written(PLAIN, [0, 1, 2]).getvalue())
    size = int.from_bytes(content[-8:-4], "little")
    for _ in range(data.draw(st.integers(1, 3))):
        content[-8 - data.draw(st.integers(1, size))] = data.draw(st.integers(0, 255))
    try:
        parts = Parts(io.BytesIO(bytes(content)))
        assembly = Assembly(io.BytesIO(), parts)
        parts.with_dictionary()
        for group in range(len(parts.row_counts)):
            assembly.add(parts, group)
        assembly.finish()
    except UnlikeError:
        pass
