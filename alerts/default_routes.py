"""The routes of a new console.

They are created once for each recipient, and then people manage them: as long as a route to that recipient exists, also
one that is off, nothing is created. The next ``migrate`` creates a deleted one again; switch it off instead.
"""

from typing import Any


def create(routes: Any, *, operators: Any) -> list[str]:
    """Create the routes that are missing, and return their names.

    Args:
        routes: the manager of routes, of the code or of a migration's state.
        operators: the group of that name; None: there is none.
    """
    wanted = [{"name": "ALERT_EMAILS", "to": "addresses", "least_severity": "critical"}]
    if operators is not None:
        wanted.append(
            {"name": operators.name, "to": "group", "group_id": operators.pk, "least_severity": "critical"}
        )
    created = []
    for values in wanted:
        key = {"to": values["to"]} | ({"group_id": values["group_id"]} if "group_id" in values else {})
        if routes.filter(**key).exists() or routes.filter(name=values["name"]).exists():
            continue
        routes.create(**values)
        created.append(values["name"])
    return created
