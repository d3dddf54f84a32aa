"""Tells by a chat or on-call service: Slack, Telegram, DingTalk, Feishu, WeCom, PagerDuty, ntfy … by its apprise address.

apprise knows how each service is spoken to. Of its 130 services those are allowed that are reached by HTTP requests
from one module which opens no file and no other connection; ``alerts.channels.chat_requests`` holds these to the rules
for webhooks.
"""

import json
import logging
from contextlib import AbstractContextManager, suppress
from functools import cache
from importlib import import_module
from typing import Any

import requests
from django.conf import settings

from alerts.channels import chat_requests
from alerts.channels.answers import ANSWER_LENGTH, Answer, hidden, secrets_in
from alerts.channels.incidents import INCIDENTS, Incidents
from alerts.channels.texts import TEST, Notice, in_words
from alerts.models import Alert, Delivery, Route
from database.fields import SecretUnreadable
from database.messages import gettext as _
from database.opened_secrets import remember

# The scheme of an address, and the module and class of apprise.plugins that speaks to the service.
SERVICES: dict[str, tuple[str, str]] = {
    "dingtalk": ("dingtalk", "NotifyDingTalk"),
    "discord": ("discord", "NotifyDiscord"),
    "feishu": ("feishu", "NotifyFeishu"),
    "gotify": ("gotify", "NotifyGotify"),
    "gotifys": ("gotify", "NotifyGotify"),
    "lark": ("lark", "NotifyLark"),
    "mmost": ("mattermost", "NotifyMattermost"),
    "mmosts": ("mattermost", "NotifyMattermost"),
    "ntfy": ("ntfy", "NotifyNtfy"),
    "ntfys": ("ntfy", "NotifyNtfy"),
    "opsgenie": ("opsgenie", "NotifyOpsgenie"),
    "pagerduty": ("pagerduty", "NotifyPagerDuty"),
    "pover": ("pushover", "NotifyPushover"),
    "rocket": ("rocketchat", "NotifyRocketChat"),
    "rockets": ("rocketchat", "NotifyRocketChat"),
    "schan": ("serverchan", "NotifyServerChan"),
    "slack": ("slack", "NotifySlack"),
    "tgram": ("telegram", "NotifyTelegram"),
    "wecombot": ("wecombot", "NotifyWeComBot"),
    "workflows": ("workflows", "NotifyWorkflows"),
    "zulip": ("zulip", "NotifyZulip"),
}
# What would read a file of this host, or fetch something from another address.
REFUSED_OPTIONS = {"template", "attach", "avatar_url", "icon_url", "icon", "keyfile", "verify", "redirect"}
# These answer 200 to what they refuse; the field of their JSON, and its value when they have taken a message.
VERDICTS: dict[str, tuple[str, Any]] = {
    "dingtalk": ("errcode", 0),
    "wecombot": ("errcode", 0),
    "feishu": ("code", 0),
    "lark": ("code", 0),
    "schan": ("code", 0),
    "tgram": ("ok", True),
}


class AddressUnusable(ValueError):
    """It is no apprise address of an allowed service; the message says what to write, and does not contain it."""


def scheme_of(url: str) -> str:
    """Return the scheme of an address, in lower case: all of it that may be shown."""
    scheme, separator, _rest = url.partition("://")
    return scheme.lower() if separator else ""


def check(url: str) -> None:
    """Check an address as far as that is possible without sending.

    Raises:
        AddressUnusable: with the reason.
    """
    _service(url)


def send(route: Route, notice: Notice) -> Answer:
    """Send a message over the route's address, and return what the service answered."""
    try:
        url = route.url
        service = _service(url)
    except SecretUnreadable as error:
        return Answer(str(error))
    except AddressUnusable as error:
        return Answer(error.args[0])
    secrets = secrets_in(url, host=True)
    for one in secrets:
        remember(one)
    subject, body = in_words(notice)
    # A mail's body repeats its subject in the first paragraph.
    text = body.removeprefix(subject).strip() or subject
    incidents = INCIDENTS.get(scheme_of(url))
    if incidents is not None:
        if notice.event == Delivery.Event.CLOSED:
            return _resolve(incidents, service, notice, subject, secrets)
        incidents.open_as(service, str(notice.id))
    apprise = import_module("apprise")
    sender = apprise.Apprise(asset=_asset())
    sender.add(service)
    with _exchange() as made:
        has_arrived = sender.notify(text, subject, _kind(notice), body_format=apprise.NotifyFormat.TEXT)
    return _answer(scheme_of(url), bool(has_arrived), made, secrets)


def _exchange() -> AbstractContextManager[chat_requests.Exchange]:
    return chat_requests.exchange(allows_private=settings.WEBHOOKS_TO_PRIVATE_ADDRESSES)


def _resolve(incidents: Incidents, service: Any, notice: Notice, subject: str, secrets: list[str]) -> Answer:
    """End the incidents that are over; after a failure all of them are tried again, which changes nothing."""
    answer = Answer(_("The incident stays open: other alerts that it tells of are open."), is_delivered=True)
    for message in notice.ended:
        with _exchange() as made:
            try:
                is_taken = incidents.resolve(service, str(message), subject)
            except requests.RequestException:
                is_taken = False  # ``made`` says why
        answer = _answer("", is_taken, made, secrets)
        if not answer.is_delivered:
            break
    return answer


def _answer(scheme: str, has_arrived: bool, made: chat_requests.Exchange, secrets: list[str]) -> Answer:
    if made.problem or made.status is None:
        return Answer(hidden(made.problem, secrets)[:ANSWER_LENGTH] or _("apprise sent no request."))
    text = " ".join(made.body.decode(errors="replace").replace("\0", "").split())
    answer = Answer.of_status(made.status, text, secrets)
    is_taken = answer.is_delivered and has_arrived and _is_accepted(scheme, made.body)
    return Answer(answer.text, is_delivered=is_taken)


def _is_accepted(scheme: str, body: bytes) -> bool:
    if scheme not in VERDICTS:
        return True
    name, good = VERDICTS[scheme]
    with suppress(ValueError):
        told = json.loads(body)
        return not isinstance(told, dict) or told.get(name, good) == good
    return True


def _kind(notice: Notice) -> str:
    if notice.event == TEST:
        return "info"
    if notice.event == Delivery.Event.CLOSED:
        return "success"
    is_critical = any(alert.severity == Alert.Severity.CRITICAL for alert in notice.alerts)
    return "failure" if is_critical else "warning"


def _service(url: str) -> Any:
    """Return the plugin of an address, ready to send.

    Raises:
        AddressUnusable: see ``check``.
    """
    scheme = scheme_of(url)
    if scheme not in SERVICES:
        told = {"services": ", ".join(f"{name}://" for name in SERVICES)}
        raise AddressUnusable(_("It is no apprise address of an allowed service: %(services)s.") % told)
    plugin = _plugin(scheme)
    # It logs addresses with their secrets. Each time: who configures logging switches loggers on again.
    logging.getLogger("apprise").disabled = True
    try:
        values = plugin.parse_url(url)
    except Exception:  # whatever a plugin raises about an address
        values = None
    if refused := _options_in(values or {}) & REFUSED_OPTIONS:
        raise AddressUnusable(_("Leave out %(options)s.") % {"options": ", ".join(sorted(refused))})
    try:
        made = plugin(**values, asset=_asset()) if values else None
    except Exception:
        made = None
    if made is None:
        told = {"example": f"https://appriseit.com/services/{SERVICES[scheme][0]}/"}
        raise AddressUnusable(
            _("A part of the address is missing or wrong: %(example)s describes it.") % told
        )
    # A service may ask for any wait; deliveries have a wait of their own.
    made.throttle = lambda *_args, **_options: None
    return made


def _options_in(values: dict[str, Any]) -> set[str]:
    """Return the names of the options that apprise found: it takes more for a query than the rules of addresses do."""
    found = {name for kind in ("qsd", "qsd+", "qsd-", "qsd:") for name in values.get(kind) or ()}
    return {name.lower().strip("+-: ") for name in found}


@cache
def _plugin(scheme: str) -> Any:
    # Imported when the first route needs it: it takes 25 MB and half a second.
    module_name, class_name = SERVICES[scheme]
    module = import_module(f"apprise.plugins.{module_name}")
    module = import_module(getattr(module, class_name).__module__) if hasattr(module, class_name) else module
    chat_requests.hold(module)
    return getattr(module, class_name)


@cache
def _asset() -> Any:
    return import_module("apprise").AppriseAsset(
        app_id="Maintenance Console",
        app_desc="Maintenance Console",
        async_mode=False,
        secure_logging=True,
        image_url_mask="",
        image_url_logo="",
        image_path_mask="",
        plugin_paths=[],
    )
