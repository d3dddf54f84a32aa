"""The OpenAPI file, and a reference page made from it on the server: no script, nothing from elsewhere."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from api import problems, site
from api.problems import Problem


@require_safe
def openapi(request: HttpRequest) -> JsonResponse:
    """Return the OpenAPI 3.1 description."""
    return JsonResponse(site.description())


@require_safe
def reference(request: HttpRequest) -> HttpResponse:
    """Show every endpoint with its parameters and answers."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for address, operations in site.description()["paths"].items():
        for method, operation in operations.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            groups.setdefault(operation["tags"][0], []).append(
                {
                    "method": method.upper(),
                    "address": address,
                    "summary": operation["summary"],
                    "description": _with_code(operation.get("description", "")),
                    "query": [one["name"] for one in operation["parameters"] if one["in"] == "query"],
                    "body": list(_fields(body.get("schema", {}))),
                    "statuses": ", ".join(operation["responses"]),
                }
            )
    frame = admin.site.each_context(request)
    context = {
        **frame,
        # Who is not signed in has no menu, and would see an empty one.
        "is_nav_sidebar_enabled": frame["is_nav_sidebar_enabled"] and frame["has_permission"],
        "title": _("API reference"),
        "groups": groups.items(),
        "problems": problems.TITLES.items(),
    }
    return render(request, "api/reference.html", context)


def not_found(request: HttpRequest, rest: str = "") -> HttpResponse:
    """Answer that there is no such address under /api/."""
    return problems.answer(request, Problem(404))


def _with_code(text: str) -> SafeString:
    """Return the text with what stands between backticks as code."""
    parts = text.split("`")
    return format_html_join(
        "",
        "{}",
        ((format_html("<code>{}</code>", part) if at % 2 else part,) for at, part in enumerate(parts)),
    )


def _fields(schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = site.description()["components"]["schemas"].get(name, {}).get("properties", {})
    return found
