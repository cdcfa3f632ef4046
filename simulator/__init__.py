"""A stand-in for the Defender for Endpoint API and its token endpoint, on loopback over TLS.

    with Simulator(World(seed=1), clock=ManualClock(start)) as sim:
        requests.get(f"{sim.url}/api/machineactions", verify=sim.ca_bundle, …)

It serves machine actions and investigations (lists and single records), OpenID discovery and tokens by
secret, certificate, workload identity, device code and managed identity.
`World` is a pure function of (seed, now); `ScriptedWorld` is stated by hand;
`sim.faults` makes things go wrong, `sim.requests` remembers what was asked.

What it does not simulate:
- anything that changes a tenant (isolating a machine …) and every other endpoint of the API;
- conditional access, consent, and the signatures of real tokens (RS256);
- undocumented query options (`$orderby`, `$count`, `$select`, `$expand`, filters on other properties, string
  functions): all are refused, though the service takes some of them;
- the service's spread over regions and replicas: two reads in a row never disagree without a fault;
- limits on the length of a URL, HTTP/2, compression, proxies;
- machines as such: there is no list of them, and a story never asks whether its machine is online.
"""

from simulator.clock import ManualClock, system_clock
from simulator.effects import (
    Call,
    CutOff,
    Drop,
    Effect,
    ExpireTokens,
    Garbage,
    IgnoreSkip,
    Inject,
    NextLink,
    NoValue,
    PageCap,
    Redirect,
    RunFirst,
    Shuffle,
    Slow,
    Status,
    TooManyRequests,
    WrongContentType,
)
from simulator.faults import Faults, RequestLog, Rule
from simulator.limits import Limits
from simulator.rows import INVESTIGATIONS, MACHINE_ACTIONS, AnyWorld
from simulator.scripted import ScriptedWorld
from simulator.server import Simulator
from simulator.tenants import FederatedCredential, Tenant
from simulator.world import DEMO_ROWS, World

__all__ = [
    "DEMO_ROWS",
    "INVESTIGATIONS",
    "MACHINE_ACTIONS",
    "AnyWorld",
    "Call",
    "CutOff",
    "Drop",
    "Effect",
    "ExpireTokens",
    "Faults",
    "FederatedCredential",
    "Garbage",
    "IgnoreSkip",
    "Inject",
    "Limits",
    "ManualClock",
    "NextLink",
    "NoValue",
    "PageCap",
    "Redirect",
    "RequestLog",
    "Rule",
    "RunFirst",
    "ScriptedWorld",
    "Shuffle",
    "Simulator",
    "Slow",
    "Status",
    "Tenant",
    "TooManyRequests",
    "World",
    "WrongContentType",
    "system_clock",
]
