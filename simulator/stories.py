"""What happens on a machine: short stories whose actions and investigations hang together.

Owns the plots and how often each is told. A story depends on the draws of its slot only and is over within
`LONGEST` of its start.
"""

from __future__ import annotations

from collections.abc import Callable

from simulator.plot import Plot
from simulator.times import DAY, HOUR, MINUTE, SECOND

LONGEST = 10 * DAY
Story = Callable[[Plot], None]


def contained_malware(plot: Plot) -> None:
    """An investigation; the machine isolated, looked at, cleaned, and released hours or days later."""
    ended = plot.between(20 * MINUTE, 5 * HOUR)
    remedied = plot.rng.random() < 0.8
    plot.investigate(
        0,
        (plot.between(5 * SECOND, 40 * SECOND), "Running"),
        (ended - 6 * MINUTE, "PendingApproval" if remedied else "Running, PendingApproval"),
        (ended, "SuccessfullyRemediated" if remedied else "PartiallyRemediated"),
        details="All malicious entities were remediated."
        if remedied
        else "Some entities could not be remediated.",
    )
    isolated = plot.act(
        plot.between(MINUTE, 12 * MINUTE), "Isolate", scope="Full", comment="Isolate: malware alert"
    )
    plot.act(
        isolated + plot.between(0, 3 * MINUTE), "CollectInvestigationPackage", comment="Package for the case"
    )
    _quarantine(plot, isolated + plot.between(MINUTE, 10 * MINUTE))
    if plot.rng.random() < 0.6:
        plot.act(
            isolated + plot.between(5 * MINUTE, 30 * MINUTE), "LiveResponse", commands=plot.rng.randint(1, 4)
        )
    scanned = plot.act(
        isolated + 12 * MINUTE, "RunAntiVirusScan", scope="Quick", comment="Scan before release"
    )
    plot.act(scanned + plot.between(HOUR, 2 * DAY), "Unisolate", comment="Clean. Back to its owner's desk")


def failed_release(plot: Plot) -> None:
    """Isolated, and the release fails; some are released at a second try, some stay isolated."""
    isolated = plot.act(plot.between(0, 5 * MINUTE), "Isolate", scope="Full", comment="Suspicious sign-in")
    failed = plot.act(isolated + plot.between(HOUR, DAY), "Unisolate", ends="Failed", comment="Release")
    if plot.rng.random() < 0.6:
        plot.act(failed + plot.between(10 * MINUTE, 5 * HOUR), "Unisolate", comment="Release, second try")


def offline_isolation(plot: Plot) -> None:
    """The machine is offline: the isolation waits for three days and times out; some are tried again."""
    by = plot.anyone()
    timed_out = plot.act(
        0, "Isolate", scope="Full", ends="TimeOut", by=by, comment="Isolate at next check-in"
    )
    if plot.rng.random() < 0.5:
        plot.act(plot.between(HOUR, DAY), "RunAntiVirusScan", scope="Full", ends="TimeOut")
    if plot.rng.random() < 0.5:
        plot.act(timed_out + plot.between(HOUR, 12 * HOUR), "Isolate", scope="Selective", by=by)


def unmanaged_device(plot: Plot) -> None:
    """A device without a sensor is contained on the network, and let in again later."""
    contained = plot.act(
        0, "Isolate", scope="UnManagedDevice", by=plot.analyst(), comment="Contain unknown device"
    )
    if plot.rng.random() < 0.7:
        plot.act(contained + plot.between(HOUR, 3 * DAY), "Unisolate", scope="UnManagedDevice")


def restricted_apps(plot: Plot) -> None:
    """Only signed apps may run, until it is lifted again."""
    done = plot.act(0, "RestrictCodeExecution", comment="Unsigned tools seen")
    plot.act(
        done + plot.between(2 * HOUR, 3 * DAY),
        "UnrestrictCodeExecution",
        comment="Gerät wieder frei, geprüft ✓",
    )


def live_response(plot: Plot) -> None:
    """A hands-on session, with evidence taken along."""
    ends = "Failed" if plot.rng.random() < 0.15 else "Succeeded"
    done = plot.act(
        0, "LiveResponse", commands=plot.rng.randint(1, 6), ends=ends, comment="Triage\nsee case notes"
    )
    plot.act(done + plot.between(0, 10 * MINUTE), "CollectInvestigationPackage")


def offboarding(plot: Plot) -> None:
    """The machine leaves: a last scan, then it is offboarded by an application."""
    scanned = plot.act(0, "RunAntiVirusScan", scope="Quick")
    plot.act(
        scanned + plot.between(MINUTE, HOUR), "Offboard", by=plot.application(), comment="Device retired"
    )


def bulk_scan(plot: Plot) -> None:
    """One click scans many machines: the records share their creation and pick-up times."""
    by = (plot.analyst()[0], "BulkAction")
    first = len(plot.actions)
    for machine in plot.machines:
        plot.act(0, "RunAntiVirusScan", scope="Quick", by=by, machine=machine, title="Weekly round")
    picked_up = plot.actions[first].phases[1]
    for action in plot.actions[first:]:
        length = action.phases[2][0] - action.phases[1][0]
        action.phases = (action.phases[0], picked_up, (picked_up[0] + length, action.phases[2][1]))


def started_through_api(plot: Plot) -> None:
    """An application starts an investigation from an alert, isolates selectively, and lets go at its end."""
    begun = 2 * MINUTE
    ended = plot.between(20 * MINUTE, 3 * HOUR)
    by = plot.application()
    plot.investigate(
        begun,
        (begun + plot.between(10 * SECOND, 3 * MINUTE), "Running"),
        (ended, "Benign" if plot.rng.random() < 0.5 else "SuccessfullyRemediated"),
        through_api=True,
    )
    plot.act(
        begun + plot.between(0, MINUTE), "Isolate", scope="Selective", by=by, comment="Automated containment"
    )
    plot.act(ended + plot.between(MINUTE, 10 * MINUTE), "Unisolate", by=by, comment="Automated release")


def week_of_waiting(plot: Plot) -> None:
    """An investigation that waits for an approval for a week, and then nobody gives it."""
    ended = plot.between(6 * DAY, 8 * DAY)
    plot.investigate(
        0,
        (20 * SECOND, "Running"),
        (plot.between(HOUR, 4 * HOUR), "PendingApproval"),
        (ended, "TerminatedBySystem" if plot.rng.random() < 0.5 else "TerminatedByUser"),
        cancelled_by=plot.analyst()[0],
        details="Pending actions expired.",
    )
    _quarantine(plot, plot.between(10 * MINUTE, HOUR))


def called_off(plot: Plot) -> None:
    """Asked for by mistake and cancelled."""
    kind, scope = plot.rng.choice(
        (("Isolate", "Full"), ("RunAntiVirusScan", "Full"), ("LogsCollection", None))
    )
    plot.act(0, kind, scope=scope, ends="Cancelled", by=plot.analyst(), comment="wrong machine, sorry")


def upkeep(plot: Plot) -> None:
    """The service's own errands."""
    plot.act(0, "TokenRefresh", by=("Microsoft Defender", "Unspecified"), ends="Immediate")
    kind = plot.rng.choice(("LogsCollection", "EndpointConfigManagementCheckin", "Troubleshoot"))
    hours = 3 if kind == "Troubleshoot" else 0
    source = "EndpointConfigManagement" if kind == "EndpointConfigManagementCheckin" else "Portal"
    by = (plot.analyst()[0], source)
    plot.act(plot.between(MINUTE, HOUR), kind, by=by, troubleshooting_hours=hours)


def disabled_account(plot: Plot) -> None:
    """An account, not a machine, is disabled and enabled again: the records never name a machine."""
    by = (plot.analyst()[0], "MDI")
    done = plot.act(0, "DisableActiveDirectoryUser", by=by, unbound=True, comment="Account of an intruder")
    plot.act(done + plot.between(HOUR, DAY), "EnableActiveDirectoryUser", by=by, unbound=True)


def clean_bill(plot: Plot) -> None:
    """An investigation that finds nothing; at most a failed scan beside it."""
    plot.investigate(0, (10 * SECOND, "Running"), (plot.between(5 * MINUTE, HOUR), "Benign"))
    if plot.rng.random() < 0.5:
        plot.act(plot.between(MINUTE, 9 * MINUTE), "RunAntiVirusScan", scope="Quick", ends="Failed")


def _quarantine(plot: Plot, offset: int) -> None:
    kind, digits = plot.rng.choice((("Sha1", 40), ("Sha256", 64), ("Md5", 32)))
    digest = f"{plot.rng.getrandbits(4 * digits):0{digits}x}"
    plot.act(
        offset, "StopAndQuarantineFile", file=(digest, kind), comment='Stop and quarantine "invoice.exe"'
    )


# Each story with its weight.
_TOLD: tuple[tuple[Story, int], ...] = (
    (contained_malware, 18),
    (failed_release, 5),
    (offline_isolation, 9),
    (unmanaged_device, 4),
    (restricted_apps, 6),
    (live_response, 12),
    (offboarding, 3),
    (bulk_scan, 9),
    (started_through_api, 8),
    (week_of_waiting, 4),
    (called_off, 6),
    (upkeep, 10),
    (disabled_account, 2),
    (clean_bill, 4),
)
DECK: tuple[Story, ...] = tuple(story for story, weight in _TOLD for _ in range(weight))
# Actions that a story has on average (measured; a unit test holds it to 3 %).
ACTIONS_PER_STORY = 2.66
