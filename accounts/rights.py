"""The rule that nobody grants rights that they lack, for accounts and for groups."""

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group, Permission, User
from django.db.models import Q, QuerySet

Person = AbstractBaseUser | AnonymousUser


def permissions_to_give(giver: Person) -> QuerySet[Permission]:
    """Return the permissions that a person may give to others or to a group, which are those that they have."""
    if not isinstance(giver, User) or not giver.is_active:
        return Permission.objects.none()
    return _permissions_of(giver)


def may_take_over(actor: Person, account: User) -> bool:
    """Whether a person may change or delete an account, or set its password and so sign in with it.

    Superusers may. Others may only if they gain no rights: the account is their own, or it cannot use the console and
    has no right that they lack. The rights of inactive accounts count too, because these accounts can be activated
    again.
    """
    if not isinstance(actor, User) or not actor.is_active:
        return False
    if actor.is_superuser or actor.pk == account.pk:
        return True
    if account.is_superuser or account.is_staff:
        return False
    return not _beyond(_permissions_of(account), actor)


def may_change_group(actor: Person, group: Group) -> bool:
    """Whether a group has no right that the person lacks."""
    return not _beyond(group.permissions.all(), actor)


def _permissions_of(account: User) -> QuerySet[Permission]:
    if account.is_superuser:
        return Permission.objects.all()
    return Permission.objects.filter(Q(user=account) | Q(group__user=account)).distinct()


def _beyond(permissions: QuerySet[Permission], actor: Person) -> bool:
    own = permissions_to_give(actor).order_by().values("pk")
    return permissions.exclude(pk__in=own).exists()
