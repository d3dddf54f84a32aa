"""App configuration of what every admin shares."""

from django.apps import AppConfig

from adminkit import lookups


class AdminkitConfig(AppConfig):
    """Admin classes, forms, look-ups and template tags."""

    name = "adminkit"

    def ready(self) -> None:
        """Let integer columns be compared with any number."""
        lookups.register()
