"""The simulated machines: which there are, and what they are called when.

Owns names and ids of machines. Never knows what is done to them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

_KINDS = ("desktop", "laptop", "srv", "vm", "kiosk")
# Every so many rounds through the fleet, one machine in 7 is set up anew (a new id under the old name)
# and one in 11 is renamed (the old id under a new name).
_REIMAGED_EVERY, _RENAMED_EVERY = 4, 6


@dataclass(frozen=True, slots=True)
class Machine:
    """`id` is 40 hexadecimal digits; `name` a DNS name."""

    id: str
    name: str


@lru_cache(maxsize=65_536)
def machine(seed: int, number: int, round_: int) -> Machine:
    """The machine of this number, as it is known in this round through the fleet."""
    setup = (round_ + number) // _REIMAGED_EVERY if number % 7 == 3 else 0
    naming = (round_ + number) // _RENAMED_EVERY if number % 11 == 5 else 0
    id = hashlib.sha1(f"{seed}/machine/{number}/{setup}".encode(), usedforsecurity=False).hexdigest()
    tag = hashlib.sha1(f"{seed}/name/{number}/{naming}".encode(), usedforsecurity=False).hexdigest()[:7]
    kind = _KINDS[number % len(_KINDS)]
    domain = ".contoso.com" if number % 3 else ""
    return Machine(id, f"{kind}-{tag}{domain}")
