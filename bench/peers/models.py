"""The token tables of djangorestframework-simplejwt 5.5 (``token_blacklist/models.py``)."""

from django.conf import settings
from django.db import models


class OutstandingToken(models.Model):
    """An issued refresh token, with its secret."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    jti = models.CharField(unique=True, max_length=255)
    token = models.TextField()
    created_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField()

    class Meta:
        app_label = "peers"

    def __str__(self) -> str:
        return self.jti


class BlacklistedToken(models.Model):
    """A token that is no longer valid."""

    id = models.BigAutoField(primary_key=True)
    token = models.OneToOneField(OutstandingToken, on_delete=models.CASCADE)
    blacklisted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "peers"

    def __str__(self) -> str:
        return str(self.token)
