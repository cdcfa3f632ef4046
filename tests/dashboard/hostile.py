"""A tenant whose records try to be more than text."""

from __future__ import annotations

from datetime import datetime, timedelta

from support.records import action

from simulator import ScriptedWorld

# One machine whose every text tries to be something else.
HOSTILE_NAME = '<img src=x onerror="document.title=1">**b** $x^2$ :red[r]'
HOSTILE_COMMENT = "=cmd|'/c calc'!A0"
HOSTILE_ID = "0123456789abcdef0123456789abcdef01234567"


def hostile_world(now: datetime) -> ScriptedWorld:
    """A few actions on machines of a second tenant."""
    return ScriptedWorld(
        [
            action(
                "h1",
                now - timedelta(days=2),
                type="Isolate",
                status="Succeeded",
                scope="Full",
                machineId=HOSTILE_ID,
                computerDnsName=HOSTILE_NAME,
                requestorComment=HOSTILE_COMMENT,
                requestor='"><script>document.title=1</script>@contoso.com',
            ),
            action(
                "h2",
                now - timedelta(days=1),
                type="RunAntiVirusScan",
                status="Failed",
                machineId="fedcba9876543210fedcba9876543210fedcba98",
                computerDnsName="kiosk-7.contoso.com",
                requestorComment="[click](javascript:alert(1)) \u202egnp.exe",
            ),
        ]
    )
