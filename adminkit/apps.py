"""App configuration of the parts that every admin shares."""

from django.apps import AppConfig

from adminkit import lookups, readonly


class AdminkitConfig(AppConfig):
    """Admin classes, forms, look-ups and template tags."""

    name = "adminkit"

    def ready(self) -> None:
        """Let integer columns be compared with any number; show only links and names that the reader may see."""
        lookups.register()
        readonly.register()
