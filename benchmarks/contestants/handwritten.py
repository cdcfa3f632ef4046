"""What a good engineer would write by hand: requests and DuckDB, one page at a time.

The state tables alone: no versions, no marts, no proof, no refresh of open rows, no quarantine.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import requests

PAGE = 10_000
RESOURCES = {
    "machine_actions": (
        "machineactions",
        "creationDateTimeUtc",
        {
            "id": "VARCHAR",
            "type": "VARCHAR",
            "title": "VARCHAR",
            "requestor": "VARCHAR",
            "requestorComment": "VARCHAR",
            "status": "VARCHAR",
            "machineId": "VARCHAR",
            "computerDnsName": "VARCHAR",
            "relatedFileInfo": "STRUCT(fileIdentifier VARCHAR, fileIdentifierType VARCHAR)",
            "creationDateTimeUtc": "TIMESTAMPTZ",
            "lastUpdateDateTimeUtc": "TIMESTAMPTZ",
            "cancellationRequestor": "VARCHAR",
            "cancellationComment": "VARCHAR",
            "cancellationDateTimeUtc": "TIMESTAMPTZ",
            "errorHResult": "BIGINT",
            "scope": "VARCHAR",
            "commands": "JSON",
            "troubleshootInfo": "JSON",
            "externalId": "VARCHAR",
            "requestSource": "VARCHAR",
        },
    ),
    "investigations": (
        "investigations",
        "startTime",
        {
            "id": "VARCHAR",
            "startTime": "TIMESTAMPTZ",
            "endTime": "TIMESTAMPTZ",
            "state": "VARCHAR",
            "cancelledBy": "VARCHAR",
            "statusDetails": "VARCHAR",
            "machineId": "VARCHAR",
            "computerDnsName": "VARCHAR",
            "triggeringAlertId": "VARCHAR",
        },
    ),
}


def sign_in(url: str) -> requests.Session:
    """A session that bears a token."""
    form = {"grant_type": "client_credentials", "client_id": "bench", "client_secret": "bench"}
    answer = requests.post(f"{url}/bench/oauth2/v2.0/token", data=form, timeout=30)
    answer.raise_for_status()
    session = requests.Session()
    session.headers["Authorization"] = "Bearer " + answer.json()["access_token"]
    return session


def pages(session: requests.Session, address: str, filter_text: str) -> Iterator[bytes]:
    """The JSON array of each page, cut out of its body, until an empty one."""
    skip = 0
    while True:
        params = {"$top": str(PAGE), "$skip": str(skip)}
        if filter_text:
            params["$filter"] = filter_text
        answer = session.get(address, params=params, timeout=120)
        answer.raise_for_status()
        body = answer.content
        rows = body[body.index(b"[") : body.rindex(b"]") + 1]
        if len(rows) <= 2:
            return
        yield rows
        skip += PAGE


def main() -> None:
    """`URL FOLDER [FROM TO]`: read everything, or a range of creation times, into FOLDER/warehouse.duckdb."""
    url, folder = sys.argv[1], Path(sys.argv[2])
    session = sign_in(url)
    database = duckdb.connect(str(folder / "warehouse.duckdb"))
    database.execute("set TimeZone = 'UTC'")
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        page_file = os.path.join(temporary, "page.json")
        for table, (path, time_field, columns) in RESOURCES.items():
            filter_text = (
                f"{time_field} ge {sys.argv[3]} and {time_field} lt {sys.argv[4]}"
                if len(sys.argv) > 3
                else ""
            )
            listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
            typed = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items()) + "}"
            database.execute(f"create table if not exists {table} ({listed})")
            for rows in pages(session, f"{url}/api/{path}", filter_text):
                Path(page_file).write_bytes(rows)
                database.execute("begin")
                database.execute(
                    f"create or replace temp table page as "
                    f"from read_json('{page_file}', format = 'array', columns = {typed})"
                )
                database.execute(f"delete from {table} where id in (select id from page)")
                database.execute(f"insert into {table} from page")
                database.execute("commit")
    database.close()


if __name__ == "__main__":
    main()
