"""The simulator as a process: `python -m simulator --port P --rows N --seed S [--json]`.

Owns argv, the start-up text and the signals. What is served is `Simulator(World(seed, rows))`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading

from simulator.limits import Limits
from simulator.server import Simulator
from simulator.world import DEMO_ROWS, World

_LOOKUP_LAG_SECONDS = 120

_TEXT = """\
The Defender simulator is running. Stop it with Ctrl-C.

  API and login  {api_url}
  CA file        {ca_bundle}   (gone when the simulator ends)
  tenant         {tenant_id}
  client id      {client_id}
  client secret  {client_secret}

To sync from it, put this into .dlt/secrets.toml (with tenants = ["demo"] in [sync]):

  [tenants.demo]
  cloud = "simulator"
  api_url = "{api_url}"
  login_url = "{login_url}"
  ca_bundle = "{ca_bundle}"
  tenant_id = "{tenant_id}"
  client_id = "{client_id}"
  client_secret = "{client_secret}"
"""


def main(argv: list[str] | None = None) -> int:
    """Serves until SIGTERM, SIGINT, or (asked for) the end of stdin."""
    options = _options(argv)
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    simulator = Simulator(
        World(options.seed, options.rows),
        port=options.port,
        limits=None if options.no_limits else Limits(),
        lookup_lag_seconds=_LOOKUP_LAG_SECONDS,
    )
    try:
        simulator.start()
    except OSError as problem:
        sys.stderr.write(f"The simulator cannot listen on port {options.port}: {problem.strerror}\n")
        return 1
    try:
        _tell(simulator, as_json=options.json)
        if options.exit_with_parent:
            threading.Thread(target=_watch_stdin, args=(done,), daemon=True).start()
        done.wait()
    finally:
        simulator.stop()
    return 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulator", description="The Defender API, simulated on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument(
        "--rows", type=_positive, default=DEMO_ROWS, help="about how many machine actions it shows"
    )
    parser.add_argument("--seed", type=int, default=1, help="another seed, another tenant")
    parser.add_argument("--json", action="store_true", help="print one line of JSON once it is ready")
    parser.add_argument("--no-limits", action="store_true", help="never answer 429")
    parser.add_argument("--exit-with-parent", action="store_true", help="end when stdin does")
    return parser.parse_args(argv)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _tell(simulator: Simulator, *, as_json: bool) -> None:
    facts = {
        "api_url": simulator.url,
        "login_url": simulator.url,
        "ca_bundle": simulator.ca_bundle,
        "tenant_id": simulator.tenant_id,
        "client_id": simulator.client_id,
        "client_secret": simulator.client_secret,
    }
    sys.stdout.write(json.dumps(facts) + "\n" if as_json else _TEXT.format(**facts))
    sys.stdout.flush()


def _watch_stdin(done: threading.Event) -> None:
    """The parent's end of the pipe closes when it dies, however it dies."""
    while os.read(0, 4096):
        pass
    done.set()


if __name__ == "__main__":
    sys.exit(main())
