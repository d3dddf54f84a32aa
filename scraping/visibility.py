"""Who may see whose: one rule, from which each model's ``visible_to`` follows.

Superusers see everything. Who may see everybody's content sees every bot, session, post and comment. Everybody else
sees what is their own: their bots, these bots' sessions, and the posts (with their comments) that one of their bots
found. Only its owner and superusers see a Reddit app that is not shared. Which models somebody may look at at all is a matter of
the model's own view permission.
"""

from django.contrib.auth.models import AnonymousUser, User

Person = User | AnonymousUser

SEE_EVERYBODYS = "scraping.view_everybodys_content"


def is_superuser(user: Person) -> bool:
    """Whether the user is an active superuser."""
    return user.is_active and user.is_superuser


def sees_everybodys(user: Person) -> bool:
    """Whether the user sees bots, sessions and content whoever owns them."""
    return user.is_active and user.has_perm(SEE_EVERYBODYS)
