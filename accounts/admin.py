"""The admin of accounts and groups."""

from typing import Any

from allauth.account.models import EmailAddress
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.http import HttpRequest

from accounts.permission_choices import PermissionsField
from accounts.rights import may_change_group, may_take_over, permissions_to_give
from audit.history import without_entries

# No pages for django-allauth's addresses and confirmations, because administrators create the accounts.
admin.site.unregister([User, Group, EmailAddress])


@admin.register(User)
class PersonAdmin(UserAdmin):
    """Django's admin of users, but only superusers edit rights, so that nobody grants rights that they lack."""

    list_display = ("username", "email", "first_name", "last_name", "is_active", "is_staff", "is_superuser")
    list_filter = ("is_active", "is_staff", "is_superuser", "groups")
    # The two-box selector and the split date fields have parts without labels for screen readers.
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")

    def formfield_for_manytomany(
        self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any
    ) -> Any:
        """Offer permissions in groups, with their plain names."""
        if db_field.name == "user_permissions":
            kwargs["form_class"] = PermissionsField
        # Django passes None if there is no request; its stubs do not declare that.
        return super().formfield_for_manytomany(db_field, request, **kwargs)  # type: ignore[arg-type]

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Hide the link to set a password if the person may not use it."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fieldsets
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name != "password"]})
            for title, options in fieldsets
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Let only superusers edit rights and access to the console."""
        if request.user.is_superuser:
            return super().get_readonly_fields(request, obj)
        rights = ("is_staff", "is_superuser", "groups", "user_permissions")
        return (*super().get_readonly_fields(request, obj), *rights)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Leave out the history entries of the account, which are kept as events."""
        to_delete, counts, perms_needed, protected = super().get_deleted_objects(objs, request)
        counts.pop(str(LogEntry._meta.verbose_name_plural), None)
        return without_entries(to_delete), counts, perms_needed, protected

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse changes of accounts, and of their passwords, that have rights which the person lacks."""
        if isinstance(obj, User) and not may_take_over(request.user, obj):
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse the deletion of accounts that have rights which the person lacks."""
        if isinstance(obj, User) and not may_take_over(request.user, obj):
            return False
        return super().has_delete_permission(request, obj)


@admin.register(Group)
class RoleAdmin(GroupAdmin):
    """Django's admin of groups, with grouped check boxes; nobody can grant a permission that they lack."""

    filter_horizontal = ()

    def formfield_for_manytomany(
        self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any
    ) -> Any:
        """Offer only permissions that the person has."""
        if db_field.name == "permissions":
            kwargs["form_class"] = PermissionsField
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        if db_field.name == "permissions" and field is not None and request is not None:
            own = permissions_to_give(request.user)
            field.queryset = own.select_related("content_type")
        return field

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Refuse groups that have rights which the person lacks; superusers may."""
        if obj is not None and not may_change_group(request.user, obj):
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Refuse groups that have rights which the person lacks; superusers may."""
        if obj is not None and not may_change_group(request.user, obj):
            return False
        return super().has_delete_permission(request, obj)
