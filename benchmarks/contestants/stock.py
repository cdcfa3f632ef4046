"""What dlt's documentation leads to: its `rest_api` source, with its defaults or with parquet loader files."""

import os
import sys
from pathlib import Path

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "CRITICAL"

import dlt
from dlt.sources.helpers.rest_client.auth import OAuth2ClientCredentials
from dlt.sources.helpers.rest_client.paginators import OffsetPaginator
from dlt.sources.rest_api import rest_api_source


def main() -> None:
    """`URL FOLDER [parquet]`."""
    url, folder = sys.argv[1], Path(sys.argv[2])
    source = rest_api_source(
        {
            "client": {
                "base_url": f"{url}/api/",
                "auth": OAuth2ClientCredentials(
                    access_token_url=f"{url}/bench/oauth2/v2.0/token",
                    client_id="bench",
                    client_secret="bench",
                ),
                "paginator": OffsetPaginator(
                    limit=10_000, limit_param="$top", offset_param="$skip", total_path=None
                ),
            },
            "resource_defaults": {"primary_key": "id", "write_disposition": "merge"},
            "resources": [
                {
                    "name": "machine_actions",
                    "endpoint": {"path": "machineactions", "data_selector": "value"},
                },
                {"name": "investigations", "endpoint": {"path": "investigations", "data_selector": "value"}},
            ],
        }
    )
    pipeline = dlt.pipeline(
        "stock",
        pipelines_dir=str(folder / "pipelines"),
        destination=dlt.destinations.duckdb(str(folder / "warehouse.duckdb")),
        dataset_name="stock",
    )
    pipeline.run(source, loader_file_format="parquet" if "parquet" in sys.argv[3:] else None)


if __name__ == "__main__":
    main()
