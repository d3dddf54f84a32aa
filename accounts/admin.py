"""The admin of accounts and groups."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.forms import AdminPasswordChangeForm
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts import second_factor
from accounts.ending import end_everything
from accounts.permission_choices import PermissionsField
from accounts.rights import may_change_group, may_take_over, permissions_to_give
from audit.history import without_entries

# No pages for django-allauth's addresses, because administrators create the accounts; nor for its second factors, whose
# page would show secrets.
admin.site.unregister([User, Group, EmailAddress, Authenticator])


class ReasonForm(forms.Form):
    """Why something is done to the account of somebody else."""

    reason = forms.CharField(label=_("Reason"), max_length=500, widget=forms.Textarea(attrs={"rows": 3}))


class OthersPasswordForm(AdminPasswordChangeForm):
    """Sets the password of an account, and ends everything that lets the person in."""

    def save(self, commit: bool = True) -> Any:
        """Save the password."""
        with transaction.atomic():
            user = super().save(commit)
            end_everything(self.user)
        return user


@admin.register(User)
class PersonAdmin(UserAdmin):
    """Django's admin of users, but only superusers edit rights, so that nobody grants rights that they lack."""

    list_display = ("username", "email", "first_name", "last_name", "is_active", "is_staff", "is_superuser")
    list_filter = ("is_active", "is_staff", "is_superuser", "groups")
    # The two-box selector and the split date fields have parts without labels for screen readers.
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    change_form_template = "accounts/person_form.html"
    change_password_form = OthersPasswordForm

    def formfield_for_manytomany(
        self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any
    ) -> Any:
        """Offer permissions in groups, with their plain names."""
        if db_field.name == "user_permissions":
            kwargs["form_class"] = PermissionsField
        if db_field.name == "groups":
            kwargs["widget"] = forms.CheckboxSelectMultiple
            kwargs["help_text"] = _("A user has the permissions of all their groups.")
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

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save the account; a deactivated person is signed out everywhere at once."""
        super().save_model(request, obj, form, change)
        if change and "is_active" in form.changed_data and not obj.is_active:
            end_everything(obj)

    def get_urls(self) -> list[URLPattern]:
        """Add the page that removes the second factors of somebody who has lost them."""
        reset = self.admin_site.admin_view(self.second_factor_reset)
        name = "auth_user_second_factor_reset"
        return [path("<id>/second-factor/", reset, name=name), *super().get_urls()]

    def second_factor_reset(self, request: HttpRequest, id: str) -> HttpResponse:  # noqa: A002  # as Django's
        """Ask a superuser why, and remove the second factors of the account."""
        person = self.get_object(request, unquote(id))
        if person is None or not request.user.is_superuser or person.pk == request.user.pk:
            raise PermissionDenied
        form = ReasonForm(request.POST if request.method == "POST" else None, label_suffix="")
        if form.is_valid():
            removed = second_factor.reset(person, by=request.user, reason=form.cleaned_data["reason"])
            text = ngettext(
                "%(number)s second factor was removed.", "%(number)s second factors were removed.", removed
            )
            messages.success(request, text % {"number": removed})
            return HttpResponseRedirect(reverse("admin:auth_user_change", args=[person.pk]))
        title = gettext("Remove the second factors of %(name)s?") % {"name": person}
        frame = {**self.admin_site.each_context(request), "title": title}
        return TemplateResponse(
            request, "accounts/second_factor_reset.html", {**frame, "form": form, "person": person}
        )

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
    empty_list = _("A group gives its members permissions: add one, tick what it may, and put people in it.")

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
