"""Routes: who is told about which alerts, and how."""

from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from alerts.models.alerts import Alert
from database.constraints import DatabaseOnDelete
from database.fields import EncryptedTextField, SecretUnreadable

# Longer than a day nobody waits for an escalation.
ESCALATES_WITHIN_MINUTES = 1_440


class Route(models.Model):
    """Who is told about which alerts: by mail, by a signed request to a web address, or in a chat.

    The owner of a bot, a member of a group and a person are told only about alerts that they may see.
    """

    class To(models.TextChoices):
        """The kinds of recipients."""

        OWNER = "owner", _("the owner of the bot, by mail")
        GROUP = "group", _("the members of a group, by mail")
        PERSON = "person", _("a person, by mail")
        ADDRESSES = "addresses", _("the addresses of ALERT_EMAILS, by mail")
        WEBHOOK = "webhook", _("a web address, by a signed request")
        CHAT = "chat", _("a chat or on-call service, by its apprise address")

    name = models.CharField(_("name"), max_length=100)
    to = models.CharField(_("recipient"), max_length=9, choices=To)
    # Without its members, a route of a group tells nobody; without the group, it has no meaning.
    group = models.ForeignKey(
        Group,
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # route_group_fk
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("group"),
    )
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # route_person_fk
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("person"),
    )
    # Encrypted: the addresses of many services contain a secret. Of a chat, it is all of it but the scheme.
    url = EncryptedTextField(_("web address"), blank=True, db_default="")
    secret = EncryptedTextField(_("secret of the signature"), blank=True, db_default="")
    # Of messages to an address that nobody in particular reads; a person's are in the person's language.
    language = models.CharField(
        _("language"),
        max_length=10,
        choices=settings.LANGUAGES,
        blank=True,
        db_default="",
        help_text=_("Of mails to shared addresses. Empty: all languages, one after the other."),
    )
    # Codes of rules; empty: all rules, also those that a later release adds.
    rules = models.JSONField(_("rules"), default=list, blank=True, db_default=[])
    least_severity = models.CharField(
        _("least severity"),
        max_length=8,
        choices=Alert.Severity,
        default=Alert.Severity.CRITICAL,
        db_default="critical",
    )
    escalates_after_minutes = models.PositiveIntegerField(
        _("escalation after minutes"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(ESCALATES_WITHIN_MINUTES)],
        help_text=_("Empty: told at once. Otherwise told only if nobody acknowledges within this time."),
    )
    is_enabled = models.BooleanField(_("on"), default=True, db_default=True)

    class Meta:
        verbose_name = _("route")
        verbose_name_plural = _("routes")
        ordering = ["name"]
        constraints = [
            DatabaseOnDelete(name="route_group_fk", field="group"),
            DatabaseOnDelete(name="route_person_fk", field="person"),
            models.UniqueConstraint(fields=["name"], name="route_name_unique"),
            models.CheckConstraint(
                name="route_has_its_recipient",
                condition=Q(
                    to__in=["owner", "addresses", "webhook", "chat"], group__isnull=True, person__isnull=True
                )
                | Q(to="group", group__isnull=False, person__isnull=True)
                | Q(to="person", group__isnull=True, person__isnull=False),
            ),
            models.CheckConstraint(
                name="route_webhook_is_signed",
                condition=(Q(to="webhook") & ~Q(url="") & ~Q(secret=""))
                | (Q(to="chat", secret="") & ~Q(url=""))
                | (~Q(to__in=["webhook", "chat"]) & Q(url="", secret="")),
            ),
            models.CheckConstraint(
                name="route_severity_known", condition=Q(least_severity__in=["critical", "warning"])
            ),
            models.CheckConstraint(
                name="route_escalates_within_a_day",
                condition=Q(escalates_after_minutes__isnull=True)
                | Q(escalates_after_minutes__range=(1, ESCALATES_WITHIN_MINUTES)),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_escalation(self) -> bool:
        """Whether it is told only about alerts that nobody acknowledges."""
        return self.escalates_after_minutes is not None

    @property
    def host(self) -> str:
        """What may be shown of the address: its host, of a chat its scheme; empty: there is none, or it is unreadable."""
        try:
            return (
                urlsplit(self.url).scheme if self.to == Route.To.CHAT else urlsplit(self.url).hostname
            ) or ""
        except (SecretUnreadable, ValueError):
            return ""

    def tells_about(self, alert: Alert) -> bool:
        """Whether the alert's rule and severity are chosen."""
        is_severe_enough = self.least_severity == Alert.Severity.WARNING or (
            alert.severity == Alert.Severity.CRITICAL
        )
        return is_severe_enough and (not self.rules or alert.rule in self.rules)
