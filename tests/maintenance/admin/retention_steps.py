"""Steps that the tests of retentions in the admin share."""


def edit(days, *overrides, stored=(), delete=()):
    """Return the form data as a browser posts it; an override is (subreddit, bot, days)."""
    form = {
        "days": days,
        "overrides-TOTAL_FORMS": len(overrides) + len(stored),
        "overrides-INITIAL_FORMS": len(stored),
    }
    rows = [(row.subreddit, row.config_id or "", row.days, row.pk) for row in stored]
    rows += [(name, bot, kept, "") for name, bot, kept in overrides]
    for number, (name, bot, kept, pk) in enumerate(rows):
        form |= {
            f"overrides-{number}-subreddit": name,
            f"overrides-{number}-config": bot,
            f"overrides-{number}-days": kept,
            f"overrides-{number}-id": pk,
        }
        if pk in delete:
            form[f"overrides-{number}-DELETE"] = "on"
    return form


def stored(policy):
    policy.refresh_from_db()
    return policy.days, [(row.subreddit, row.config_id, row.days) for row in policy.overrides.all()]
