"""Thrift's compact protocol: what is read is written again to the byte, and nothing else is taken for a struct."""

from __future__ import annotations

import io
import struct

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import thrift
from pipelines.thrift import ThriftError, read_struct, write_struct

numbers = st.integers(-(2**63), 2**63 - 1)
plain = {
    thrift.BYTE: st.integers(0, 255),
    thrift.I16: numbers,
    thrift.I32: numbers,
    thrift.I64: numbers,
    thrift.DOUBLE: st.binary(min_size=8, max_size=8),
    thrift.BINARY: st.binary(max_size=200),
}


@st.composite
def structs(draw, depth: int = 2):
    fields = {}
    for number in draw(st.lists(st.integers(-(2**15), 2**15 - 1), unique=True, max_size=5)):
        kinds = [*plain, thrift.TRUE, thrift.FALSE, *([thrift.LIST, thrift.STRUCT] if depth else [])]
        kind = draw(st.sampled_from(kinds))
        if kind in plain:
            value = draw(plain[kind])
        elif kind == thrift.STRUCT:
            value = draw(structs(depth=depth - 1))
        elif kind == thrift.LIST:
            item = draw(st.sampled_from([*plain, thrift.TRUE, thrift.STRUCT]))
            items = {thrift.TRUE: st.integers(1, 2), thrift.STRUCT: structs(depth=0)} | plain
            value = item, draw(st.lists(items[item], max_size=20))
        else:
            value = kind == thrift.TRUE
        fields[number] = kind, value
    return fields


@given(structs())
def test_what_was_written_is_read(fields):
    assert read_struct(write_struct(fields)) == fields


@given(structs(), st.data())
def test_what_ends_too_early_is_no_struct(fields, data):
    written = write_struct(fields)
    with pytest.raises(ThriftError):
        read_struct(written[: data.draw(st.integers(0, len(written) - 1))])


@given(st.binary(max_size=300) | st.integers(1, 10_000).map(lambda depth: b"\x1c" * depth))
def test_whatever_comes_is_a_struct_or_told_to_be_none(content):
    try:
        fields = read_struct(content)
    except ThriftError:
        return
    # A number may be spelled longer than need be, so only what is told is the same.
    assert read_struct(write_struct(fields)) == fields


@pytest.mark.parametrize("writer", ["duckdb", "pyarrow"])
def test_the_footer_of_a_parquet_file_is_the_same_bytes_again(tmp_path, writer):
    table = pa.table(
        {"text": ["a", None, "ü"] * 500, "lists": [[1], None, []] * 500, "time": [0, 1, 2] * 500}
    )
    path = tmp_path / "file.parquet"
    if writer == "duckdb":
        duckdb.from_arrow(table).write_parquet(str(path))
    else:
        pq.write_table(table, path, row_group_size=100, write_page_index=True)
    content = path.read_bytes()
    footer = content[-8 - struct.unpack("<I", content[-8:-4])[0] : -8]
    fields = read_struct(footer)
    assert write_struct(fields) == footer
    assert pq.read_metadata(io.BytesIO(content)).num_rows == fields[3][1] == 1500
