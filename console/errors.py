"""What a person sees instead of a page: 403 and 404 in the console's own frame."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say that the account lacks the permission, and which where the refusal knows."""
    context = {**admin.site.each_context(request), "refusal": str(exception)}
    return render(request, "403.html", context, status=403)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say that there is no such page."""
    return render(request, "404.html", admin.site.each_context(request), status=404)
