"""Starts the dashboard: `python -m dashboard`, on loopback, without usage statistics.

Finds the published folder of the configuration (or takes `--published`), which is all that the dashboard
gets to know of it.
"""

import argparse
import os
import sys
from pathlib import Path

APP = Path(__file__).with_name("app.py")
# Given on the command line, so that no config.toml of the user's can turn them round.
STREAMLIT_OPTIONS: dict[str, str | tuple[str, ...]] = {
    "server.address": "127.0.0.1",
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "server.enableStaticServing": "false",
    # What a page of another site sends here is refused by these, without asking anybody for our own address.
    "server.allowedHosts": ("localhost", "127.0.0.1"),
    "browser.serverAddress": "localhost",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "client.disableDataExport": "true",
    "client.showErrorDetails": "none",
    "theme.base": "dark",
    "theme.primaryColor": "#5aa9f0",
    "theme.backgroundColor": "#0f141a",
    "theme.secondaryBackgroundColor": "#18202a",
    "theme.textColor": "#d9e0e8",
    "theme.borderColor": "#2a3542",
    "theme.baseRadius": "6px",
    "theme.baseFontSize": "14",
}


def main() -> None:
    """Run Streamlit in this process."""
    arguments = _arguments()
    published = arguments.published or _configured()
    os.environ["DASHBOARD_PUBLISHED"] = str(published.absolute())
    os.environ["DASHBOARD_LATE_MINUTES"] = str(arguments.late_minutes)
    options = [
        part
        for name, given in STREAMLIT_OPTIONS.items()
        for value in ((given,) if isinstance(given, str) else given)
        for part in (f"--{name}", value)
    ]
    _run_streamlit(["run", str(APP), "--server.port", str(arguments.port), *options])


def _run_streamlit(command: list[str]) -> None:
    from streamlit import net_util
    from streamlit.web import cli

    # A WebSocket from another site's page makes Streamlit ask the internet for this machine's address, to
    # compare the two. Here nothing but loopback may connect, so there is nothing to ask.
    net_util.get_external_ip = net_util.get_internal_ip = lambda: None
    cli.main(command, prog_name="streamlit")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dashboard", description="The dashboard, on loopback.")
    parser.add_argument("--port", type=int, default=8501, help="port on 127.0.0.1 (8501)")
    parser.add_argument(
        "--published", type=Path, help="the published folder, where there is no configuration to find it by"
    )
    parser.add_argument(
        "--late-minutes", type=int, default=60, help="call a tenant late after so many minutes (60)"
    )
    return parser.parse_args()


def _configured() -> Path:
    from pipelines.data_dir import DataDir
    from pipelines.errors import DefenderSyncError
    from pipelines.settings import load_settings

    try:
        return DataDir(load_settings().data_dir).published
    except DefenderSyncError as error:
        sys.stderr.write(f"dashboard: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
