"""Which permission lets a token read which resource. Pure data, and the words to ask for one.

Source: Microsoft's documentation of the two list endpoints.
"""

from collections.abc import Collection

FAMILIES = {"machine_actions": "Machine", "investigations": "Alert"}


def application_roles(resource: str) -> tuple[str, str]:
    """Either of these application permissions reads the resource; the first is the lesser."""
    family = FAMILIES[resource]
    return f"{family}.Read.All", f"{family}.ReadWrite.All"


def delegated_scopes(resource: str) -> tuple[str, str]:
    """The same for a person."""
    family = FAMILIES[resource]
    return f"{family}.Read", f"{family}.ReadWrite"


def permission_for(resource: str, roles: Collection[str], scopes: Collection[str]) -> tuple[str | None, str]:
    """By which permission such a token reads the resource, None where it cannot; and the one to grant."""
    if scopes:
        wanted, held, kind = delegated_scopes(resource), scopes, "delegated"
    else:
        wanted, held, kind = application_roles(resource), roles, "application"
    found = next((each for each in wanted if each in held), None)
    return found, f"the {kind} permission {wanted[0]}"
