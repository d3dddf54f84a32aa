"""What is declared and loaded when Django starts."""

import json
import subprocess
import sys

import pytest
from django.conf import settings

SCRIPT = """
import json, sys
from django.conf import settings

loaded = {"settings": [*sys.modules]}
settings.INSTALLED_APPS[0] = "django.contrib.admin.apps.SimpleAdminConfig"  # it looks for no admin.py
from maintenance.apps import MaintenanceConfig

ready = MaintenanceConfig.ready
MaintenanceConfig.ready = lambda self: (loaded.update(models=[*sys.modules]), ready(self))
import django

django.setup()
from maintenance.registry import jobs

heavy = {when: [name for name in names if name in ("praw", "prawcore", "re2")] for when, names in loaded.items()}
print(json.dumps({"heavy": heavy, "jobs": [job.slug for job in jobs()]}))
"""


@pytest.mark.slow
def test_jobs_are_declared_without_the_admin_and_models_load_neither_praw_nor_re2():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=settings.BASE_DIR,
        env={
            "DJANGO_SETTINGS_MODULE": "console.settings",
            "VAR_DIR": str(settings.VAR_DIR),
            "READ_DOT_ENV": "false",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    found = json.loads(done.stdout)
    assert found["heavy"] == {"settings": [], "models": []}
    assert "purge_old_content" in found["jobs"]
