"""Holds and releases posts in the admin: many from the list, or one from its page."""

from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from scraping.admin.forms import HoldForm, ReleaseForm
from scraping.content import holds
from scraping.models import RedditPost, RedditPostQuerySet


class HoldFilter(admin.SimpleListFilter):
    """Filters posts by the state of their hold."""

    title = _("hold")
    parameter_name = "hold"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Offer the states of a hold."""
        return [("held", _("held")), ("ended", _("hold has ended")), ("none", _("not held"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> RedditPostQuerySet:
        """Keep the posts in the chosen state."""
        posts: RedditPostQuerySet = queryset
        match self.value():
            case "held":
                return posts.held()
            case "ended":
                return posts.filter(held_at__isnull=False).not_held()
            case "none":
                return posts.not_held()
        return posts


class HoldActions(admin.ModelAdmin):
    """The two actions of the list; the page of a post submits to them with that post selected."""

    actions: Sequence[Any] | None = ["hold", "release"]

    def has_hold_permission(self, request: HttpRequest) -> bool:
        """Whether the person may hold and release posts."""
        return holds.may_hold(request.user)

    @admin.display(description=_("hold"))
    def hold_badge(self, post: RedditPost) -> str | None:
        """Show who holds the post, why and until when."""
        return render_to_string("scraping/_hold.html", {"post": post}) if post.held_at else None

    @admin.action(permissions=["hold"], description=_("Hold against deletion…"))
    def hold(self, request: HttpRequest, posts: RedditPostQuerySet) -> HttpResponse | None:
        """Ask why and until when; hold the selected posts."""
        return self._ask_and_do(request, posts, "hold", HoldForm, holds.hold_posts)

    @admin.action(permissions=["hold"], description=_("Release from hold…"))
    def release(self, request: HttpRequest, posts: RedditPostQuerySet) -> HttpResponse | None:
        """Ask why; release the selected posts."""
        return self._ask_and_do(request, posts, "release", ReleaseForm, holds.release_posts)

    def _ask_and_do(
        self,
        request: HttpRequest,
        posts: RedditPostQuerySet,
        action: str,
        form_class: type[ReleaseForm],
        do: Callable[..., int],
    ) -> HttpResponse | None:
        form = form_class(request.POST if "reason" in request.POST else None)
        if form.is_valid():
            try:
                done = do(posts, by=request.user, **form.cleaned_data)
            except ValueError as error:
                messages.error(request, str(error))
            else:
                messages.success(request, _answer(action, done))
            target = request.POST.get("next", "")
            if url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}):
                return HttpResponseRedirect(target)
            return None  # back to the list, filtered as it was
        selected = posts.order_by()[: holds.POSTS_MAX + 1].count()
        if selected > holds.POSTS_MAX:
            messages.error(request, str(holds.TooManyPosts()))
            return None
        return render(
            request,
            "scraping/hold.html",
            {
                **self.admin_site.each_context(request),
                "title": _question(action, selected),
                "action": action,
                "form": form,
                "checkbox_name": ACTION_CHECKBOX_NAME,
                "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
                "select_across": request.POST.get("select_across", "0"),
                "next": request.POST.get("next", ""),
            },
        )


def _question(action: str, posts: int) -> str:
    words = {"posts": f"{posts:,}"}
    if action == "hold":
        return ngettext("Hold %(posts)s post?", "Hold %(posts)s posts?", posts) % words
    return ngettext("Release %(posts)s post?", "Release %(posts)s posts?", posts) % words


def _answer(action: str, posts: int) -> str:
    words = {"posts": f"{posts:,}"}
    if action == "hold":
        return ngettext("%(posts)s post is held.", "%(posts)s posts are held.", posts) % words
    return ngettext("%(posts)s hold has ended.", "%(posts)s holds have ended.", posts) % words
