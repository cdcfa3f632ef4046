"""Writes docs/configuration.md from the settings' own definitions: `python tools/configuration_reference.py`.

A test fails when the file is stale.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from pipelines.settings import AUTH_KINDS, AlertSettings, SyncSettings, TenantSettings

TARGET = Path(__file__).parents[1] / "docs" / "configuration.md"

HEAD = """\
# Configuration

<!-- Made by tools/configuration_reference.py from pipelines/settings.py. Do not edit. -->

Each key is looked up in the environment, then in `.dlt/secrets.toml`, then in `.dlt/config.toml`; the first that has
it wins. In the environment a key is written in capitals, its sections joined by two underscores:
`SYNC__DATA_DIR`, `TENANTS__CONTOSO__CLIENT_SECRET`, `AUTH__PROVIDER__CLIENT_SECRET`. A list is written with commas.

An unknown key, a wrong type or a missing credential ends every command with exit code 2 and names the key.
Keys marked *secret* belong into `.dlt/secrets.toml` (mode 0600) or the environment; no message or log shows them.
"""

ALERTS = """\
What is told, and when, is in [watching.md](watching.md). Without `webhook_url` nothing is sent.
"""

TENANTS = """\
A name is lower-case letters, digits and single underscores, a letter first. It stands in every row's `tenant`, so
choose it for good. A section that `sync.tenants` does not name is left alone.
"""

KINDS = """\
`auth` chooses how to sign in, and what is needed for it:
"""

SHARED = """\
One application that serves many tenants has its credentials written once. A tenant takes them by
`credentials = "NAME"`; a key of its own comes first. These keys may stand here: {keys}.

```toml
[auth.provider]
auth = "certificate"
client_id = "00000000-0000-0000-0000-000000000000"
certificate_path = "/etc/defender-sync/provider.pem"

[tenants.contoso]
tenant_id = "contoso.onmicrosoft.com"
credentials = "provider"
```
"""


def reference() -> str:
    """The whole page."""
    shared = ", ".join(f"`{each.name}`" for each in _keys(TenantSettings) if each.metadata["credential"])
    kinds = "\n".join(
        f"| `{kind}` | {', '.join(f'`{key}`' for key in keys) or 'nothing'} |"
        for kind, keys in AUTH_KINDS.items()
    )
    return "\n".join(
        [
            HEAD,
            "## [sync]\n",
            _table(_keys(SyncSettings)),
            "## [alerts]\n",
            ALERTS,
            _table(_keys(AlertSettings)),
            "## [tenants.NAME]\n",
            TENANTS,
            _table(_keys(TenantSettings)),
            KINDS,
            f"| auth | needs |\n|---|---|\n{kinds}\n",
            "## [auth.NAME]\n",
            SHARED.format(keys=shared).rstrip(),
            "",
        ]
    )


def _keys(kind: type[Any]) -> list[Field[Any]]:
    return [each for each in fields(kind) if each.metadata]


def _table(keys: Iterable[Field[Any]]) -> str:
    rows = "\n".join(
        f"| `{each.name}` | {_default(each)} | {_values(each)} | {each.metadata['text']} |" for each in keys
    )
    return f"| key | default | values | meaning |\n|---|---|---|---|\n{rows}\n"


def _default(key: Field[Any]) -> str:
    value = key.default if key.default is not MISSING else key.default_factory()  # type: ignore[misc]
    if isinstance(value, tuple):
        return "`[" + ", ".join(f'"{each}"' for each in value) + "]`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value == "":
        return ""
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def _values(key: Field[Any]) -> str:
    rules = key.metadata
    if rules["secret"]:
        return "*secret*"
    if rules["choices"] is not None:
        return ", ".join(f"`{each}`" for each in rules["choices"])
    if isinstance(key.default, bool):
        return "`true`, `false`"
    low, high = rules["at_least"], rules["at_most"]
    if low is not None:
        return f"{low} to {high:,}" if high is not None else f"{low} or more"
    return ""


if __name__ == "__main__":
    TARGET.write_text(reference())
