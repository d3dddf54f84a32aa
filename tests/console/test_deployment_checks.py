"""What Django's check for deployments says of production settings, and the headers of every answer."""

import os
import secrets
import subprocess
import sys

import pytest
from django.conf import settings
from django.urls import reverse


@pytest.mark.slow
def test_the_check_for_deployments_is_clean_with_production_settings(tmp_path):
    environment = {
        "PATH": os.environ["PATH"],
        "READ_DOT_ENV": "off",
        "VAR_DIR": str(tmp_path),
        "HTTPS": "on",
        "ALLOWED_HOSTS": "console.example.org",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "FIELD_ENCRYPTION_KEY": secrets.token_urlsafe(50),
        "EMAIL_URL": "smtp+tls://user:password@mail.example.org:587",
        "SECOND_FACTOR_REQUIRED_FOR": "operators",
    }
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]

    done = subprocess.run(command, env=environment, cwd=settings.BASE_DIR, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.django_db
@pytest.mark.parametrize("path", [reverse("admin:login"), "/nowhere/", "/static/nothing.css"])
def test_every_answer_says_what_the_browser_may_use(client, path):
    policy = client.get(path).headers["Permissions-Policy"]

    assert "camera=()" in policy
    assert "publickey-credentials-get=(self)" in policy
