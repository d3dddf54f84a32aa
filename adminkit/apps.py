"""App configuration of what every admin shares."""

from django.apps import AppConfig

from adminkit import lookups, readonly


class AdminkitConfig(AppConfig):
    """Admin classes, forms, look-ups and template tags."""

    name = "adminkit"

    def ready(self) -> None:
        """Let integer columns be compared with any number; link and name only what the reader may follow and read."""
        lookups.register()
        readonly.register()
