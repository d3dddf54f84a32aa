"""OAuth clients registered with Reddit."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from database.fields import EncryptedTextField, SecretUnreadable
from scraping.visibility import Person, is_superuser

# The client id of `up` and `sandbox_reddit`; an app with this id must never be used with the real Reddit.
SANDBOX_CLIENT_ID = "sandbox"


class RedditAppQuerySet(models.QuerySet["RedditApp"]):
    """Selects Reddit apps by owner."""

    def visible_to(self, user: Person) -> Self:
        """Return the apps that the user may see and give to a bot: shared ones and their own."""
        if is_superuser(user):
            return self
        return self.filter(Q(owner__isnull=True) | Q(owner_id=user.pk)) if user.pk else self.none()


class RedditApp(models.Model):
    """An OAuth client registered with Reddit; its bots share one rate budget."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="reddit_apps",
        verbose_name=_("owner"),
        help_text=_("The only person who may assign it to bots. Empty: shared, everybody may."),
    )
    name = models.CharField(_("name"), max_length=100, unique=True)
    client_id = models.CharField(_("client id"), max_length=100, unique=True)
    client_secret = EncryptedTextField(_("client secret"), blank=True)
    user_agent = models.CharField(
        _("user agent"),
        max_length=200,
        help_text=_("As Reddit asks: platform:app id:version (by /u/name)"),
    )

    objects = RedditAppQuerySet.as_manager()

    class Meta:
        verbose_name = _("Reddit app")
        verbose_name_plural = _("Reddit apps")

    def __str__(self) -> str:
        return self.name

    @property
    def has_readable_secret(self) -> bool:
        """Whether a key of FIELD_ENCRYPTION_KEY decrypts its secret."""
        try:
            return isinstance(self.client_secret, str)
        except SecretUnreadable:
            return False

    @property
    def is_sandbox(self) -> bool:
        """Whether this app belongs to the synthetic Reddit of `sandbox_reddit`."""
        return self.client_id == SANDBOX_CLIENT_ID
