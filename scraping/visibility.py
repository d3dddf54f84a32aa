"""The rule on who may see what, which each model's ``visible_to`` applies.

Superusers see everything. A user with the permission to see everybody's content sees every bot, session, post and
comment. All other users see their own bots, the sessions of these bots, and the posts (with their comments) that one
of these bots found. Only its owner and superusers see a Reddit app that is not shared. Whether a user may view a model
at all is decided by the model's view permission.
"""

from django.contrib.auth.models import AnonymousUser, User

Person = User | AnonymousUser

SEE_EVERYBODYS = "scraping.view_everybodys_content"
VIEW_BOTS, VIEW_SESSIONS = "scraping.view_botconfig", "scraping.view_scrapesession"


def is_superuser(user: Person) -> bool:
    """Whether the user is an active superuser."""
    return user.is_active and user.is_superuser


def sees_everybodys(user: Person) -> bool:
    """Whether the user sees the bots, sessions and content of all owners."""
    return user.is_active and user.has_perm(SEE_EVERYBODYS)
