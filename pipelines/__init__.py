"""defender-sync: keeps a DuckDB warehouse in step with Microsoft Defender for Endpoint."""

import os

# dlt reads these when it is imported. The environment comes first, as everywhere in dlt.
for _key, _value in {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",  # errors come as exceptions; its warnings are not for our users
    "LOAD__TRUNCATE_STAGING_DATASET": "true",  # or a copy of the last load stays in the staging dataset
    "LOAD__DELETE_COMPLETED_JOBS": "true",
    "RESTORE_FROM_DESTINATION": "false",  # it keeps no state of ours, and looking for it takes a quarter of a load
    "LOAD__WORKERS": "1",
    "NORMALIZE__WORKERS": "1",
}.items():
    os.environ.setdefault(_key, _value)
