"""What was erased for good, and the rule that keeps it from coming back. Pure: no I/O.

A purge leaves a moment: what was created before it is dropped. A forgotten person leaves a salted hash: their name
becomes `forgotten`, and their comments null. Both are applied to whatever the API shows again, before it is stored,
and to what is stored already.
"""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute

from pipelines import json_text
from pipelines.records import BadRecord, read_time
from pipelines.resources import Resource

# Its stubs tell too little of what comes back.
pc: Any = pyarrow.compute

# One word for everybody: a pseudonym for each would still tell one person's actions from another's.
FORGOTTEN = "forgotten"
# The columns that name a person, and the column of what that person wrote.
PEOPLE: dict[str, str | None] = {
    "requestor": "requestor_comment",
    "cancellation_requestor": "cancellation_comment",
    "cancelled_by": None,
}
# The other columns that hold what somebody wrote. Keys, links and codes are never changed.
FREE_TEXTS = ("requestor_comment", "cancellation_comment", "title", "status_details")
# A name within a longer text, such as a comment, is found where it looks like an address.
ADDRESS = re.compile(r"(?:%[0-9A-Fa-f]{2})?\w[\w.!#^~'+&%-]{0,150}@\w[\w-]{0,62}(?:\.\w[\w-]{0,62}){0,8}")
# Where one may begin within what looks like a longer one: behind a mark that texts put before it. Dots, dashes and plus
# signs are not among them, as they are part of other people's addresses.
BEGINNING = re.compile(r"%[0-9A-Fa-f]{2}|[!#&%^~']|^_+")
# Where it may end: before a new sentence, and before a dash or underscore behind its last dot. `contoso.com.au` is
# another's domain.
ENDING = re.compile(r"(?<=[a-z0-9])\.(?=[A-Z])|[_-](?=[^.]*$)")


def spelling(name: str) -> str:
    """A name as it is compared: no case, and a guest as the address it stands for.

    `user_contoso.com#EXT#@fabrikam.onmicrosoft.com` is the guest user@contoso.com.
    """
    text = unicodedata.normalize("NFC", name).strip().casefold()
    guest, mark, _host = text.partition("#ext#")
    user, underscore, domain = guest.rpartition("_")
    return f"{user}@{domain}" if mark and underscore and user else text


@dataclass(frozen=True)
class ForgottenName:
    """A person's name that can be recognised, but not read."""

    salt: str
    name_hash: str

    @classmethod
    def of(cls, name: str, salt: str) -> "ForgottenName":
        """The salted hash of a name's spelling."""
        return cls(salt, _hash(spelling(name), salt))

    def matches(self, spelled: str) -> bool:
        """Whether this is the name; `spelled` is its `spelling`."""
        return hmac.compare_digest(_hash(spelled, self.salt), self.name_hash)


def _hash(spelled: str, salt: str) -> str:
    return hashlib.sha256(f"{salt}:{spelled}".encode(errors="surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Tombstones:
    """What must not come back for one tenant."""

    purged_before: datetime | None = None
    forgotten: tuple[ForgottenName, ...] = ()

    # --- purged ---

    def is_purged(self, moment: datetime | None) -> bool:
        """Whether what was created then is gone for good; what has no time is kept."""
        return self.purged_before is not None and moment is not None and moment < self.purged_before

    def split_purged(self, resource: Resource, rows: pa.Table) -> tuple[pa.Table, list[str]]:
        """The rows that may be kept, and the ids of the others."""
        if self.purged_before is None or not rows.num_rows:
            return rows, []
        moment = pa.scalar(self.purged_before, rows.schema.field(resource.cursor_column).type)
        is_purged = pc.fill_null(pc.less(rows[resource.cursor_column], moment), False)
        purged_ids: list[str] = rows.filter(is_purged).to_pydict()["id"]
        return rows.filter(pc.invert(is_purged)), purged_ids

    # --- forgotten ---

    def without_names(self, resource: Resource, rows: pa.Table) -> pa.Table:
        """The rows without the names of those who are forgotten, and without what they wrote."""
        if not self.forgotten or not rows.num_rows:
            return rows
        fresh = rows
        for name in (*PEOPLE, *FREE_TEXTS):
            if name in rows.column_names:
                fresh = _with_column(fresh, name, self.without_names_in)
        for name in resource.json_columns:
            fresh = _with_column(fresh, name, self._json_without_names)
        for name, comment in PEOPLE.items():
            if comment in rows.column_names:
                is_theirs = _flags(rows[name], self.is_forgotten)
                nothing = pa.scalar(None, pa.string())
                fresh = _replaced(fresh, comment, pc.if_else(is_theirs, nothing, fresh[comment]))
        return fresh

    def is_forgotten(self, name: str) -> bool:
        """Whether the whole text is the name of somebody who is forgotten."""
        spelled = spelling(name)
        return any(each.matches(spelled) for each in self.forgotten)

    def without_names_in(self, text: str) -> str:
        """The text, each forgotten name in it replaced."""
        return FORGOTTEN if self.is_forgotten(text) else self._without_addresses(text)

    def _without_addresses(self, text: str) -> str:
        if "@" not in text:
            return text
        return ADDRESS.sub(lambda found: self._without_address(found[0]), text)

    def _without_address(self, found: str) -> str:
        """What looks like one address; the text around may touch it, as in `INC1#alice@contoso.com.Thanks`."""
        at = found.index("@")
        begins = [0, *(mark.end() for mark in BEGINNING.finditer(found[:at]))]
        ends = [len(found), *(mark.start() for mark in ENDING.finditer(found, at))]
        for begin in begins:
            for end in ends:
                if self.is_forgotten(found[begin:end]):
                    return found[:begin] + FORGOTTEN + found[end:]
        return found

    def _json_without_names(self, text: str) -> str:
        value = json_text.parse_member(text)
        fresh = self._value_without_names(value)
        return text if fresh == value else json_text.canonical(fresh)

    def _value_without_names(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.without_names_in(value)
        if isinstance(value, list):
            return [self._value_without_names(each) for each in value]
        if isinstance(value, dict):
            return {
                self._without_addresses(key): self._value_without_names(each) for key, each in value.items()
            }
        return value

    # --- quarantine ---

    def kept_records(self, resource: Resource, records: Iterable[BadRecord]) -> tuple[BadRecord, ...]:
        """The bad records that may be kept, without the names of those who are forgotten."""
        if self.purged_before is None and not self.forgotten:
            return tuple(records)
        return tuple(
            self.record_without_names(resource, bad)
            for bad in records
            if not self.is_purged(record_moment(resource, bad.record))
        )

    def record_without_names(self, resource: Resource, bad: BadRecord) -> BadRecord:
        """A bad record without the names of those who are forgotten, and without what they wrote."""
        record = json_text.parse(bad.record)
        fresh = self._value_without_names(record)
        if isinstance(record, dict):
            fields = {column.name: column.path[0] for column in resource.columns}
            for name, comment in PEOPLE.items():
                said = record.get(fields.get(name, ""))
                if comment and isinstance(said, str) and self.is_forgotten(said):
                    fresh[fields[comment]] = None
        return bad if fresh == record else BadRecord(bad.reason, json_text.storable(fresh))


def record_moment(resource: Resource, record: str) -> datetime | None:
    """When a bad record says that it was created; None where that cannot be read."""
    value = json_text.parse(record)
    try:
        return read_time(value[resource.cursor_field])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def changed_rows(before: pa.Table, after: pa.Table) -> pa.Table:
    """The rows of `after` that differ from those in the same place of `before`."""
    differs: Any = pa.repeat(False, before.num_rows)
    for name in before.column_names:
        old, new = before[name], after[name]
        if not old.equals(new):
            one_is_null = pc.xor(pc.is_null(old), pc.is_null(new))
            differs = pc.or_(differs, pc.fill_null(pc.not_equal(old, new), one_is_null))
    return after.filter(differs)


def _with_column(rows: pa.Table, name: str, change: Callable[[str], str]) -> pa.Table:
    """The rows with each distinct text of a column changed."""
    encoded: Any = pc.dictionary_encode(rows[name].combine_chunks())
    texts = encoded.dictionary.to_pylist()
    fresh = [change(text) for text in texts]
    if fresh == texts:
        return rows
    return _replaced(rows, name, pa.array(fresh, pa.string()).take(encoded.indices))


def _flags(texts: Any, test: Callable[[str], bool]) -> Any:
    """For each text whether it passes; null does not."""
    encoded: Any = pc.dictionary_encode(texts.combine_chunks())
    flags = pa.array([test(text) for text in encoded.dictionary.to_pylist()], pa.bool_())
    return pc.fill_null(flags.take(encoded.indices), False)


def _replaced(rows: pa.Table, name: str, values: Any) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), rows.schema.field(name), values)
