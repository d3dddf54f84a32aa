"""App configuration of what every admin shares."""

from django.apps import AppConfig

from adminkit import lookups


class AdminkitConfig(AppConfig):
    """Admin classes, forms, look-ups and template tags."""

    name = "adminkit"

    def ready(self) -> None:
        """Teach columns of whole numbers to bear any number."""
        lookups.register()
