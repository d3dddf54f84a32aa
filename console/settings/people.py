"""Accounts, sign-in, cookies, the keys of stored secrets, and mail."""

import secrets

from .base import env, local_secret

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
# django-allauth handles sign-ins: see accounts/sign_in.py. Administrators create the accounts.
ACCOUNT_ADAPTER = "accounts.sign_in.Adapter"
ACCOUNT_FORMS = {"login": "accounts.sign_in.SignInForm"}
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_SIGNUP_ENABLED = False
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
# Failures of one address per minute, and of one account per five minutes. At the limit everybody has to wait, even
# with the right password.
ACCOUNT_RATE_LIMITS = {"login_failed": "20/m/ip,5/5m/key", "login": "60/m/ip"}
# --- Second factor: see accounts/second_factor.py ---------------------------------------------

# Who must have a second factor. "operators": whoever has one of the permissions below, and superusers.
SECOND_FACTOR_REQUIRED_FOR = env.text(
    "SECOND_FACTOR_REQUIRED_FOR",
    default="nobody",
    one_of=("nobody", "superusers", "operators", "everybody"),
)
OPERATOR_PERMISSIONS = (
    "auth.change_group",
    "auth.change_user",
    "django_celery_beat.change_periodictask",
    "maintenance.approve_run",
    "maintenance.cancel_jobrun",
    "maintenance.change_maintenancemode",
    "maintenance.change_retentionpolicy",
    "maintenance.run_job",
    "scraping.decide_setaside",
)
MFA_ADAPTER = "accounts.second_factor_adapter.SecondFactorAdapter"
# Before a second factor is added or removed, and before recovery codes are shown or made, the password is asked again;
# it then counts for five minutes.
ACCOUNT_REAUTHENTICATION_METHODS = ["password"]
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = "Maintenance console"
# A code is accepted for half a minute before and after its own, because clocks of phones differ.
MFA_TOTP_TOLERANCE = 1
# How many proxies in front of the web server add the client to X-Forwarded-For; 0: the header is ignored.
TRUSTED_PROXY_COUNT = ALLAUTH_TRUSTED_PROXY_COUNT = env.whole(
    "TRUSTED_PROXY_COUNT", default=0, low=0, high=10
)
# After how many minutes without use a session ends; 0: only when its cookie expires, after two weeks.
SESSION_IDLE_MINUTES = env.whole("SESSION_IDLE_MINUTES", default=720, low=0, high=20_160)
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
# Turn it on behind an HTTPS proxy; it is off by default because the one-machine console uses plain HTTP on loopback.
HTTPS = env.switch("HTTPS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
# W005, W021: HSTS for all subdomains, and on the list of the browsers, binds other servers of the same domain; who
# owns the domain decides that, in the proxy.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_SSL_REDIRECT = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# Keys of the secrets stored in the database, newest first; the first encrypts, all decrypt.
FIELD_ENCRYPTION_KEY = env.secrets("FIELD_ENCRYPTION_KEY") or [
    local_secret("field_encryption_key", secrets.token_urlsafe(50))
]

# --- A forgotten password -------------------------------------------------------------------

# The address of the console in mails; empty: the host of the request, which ALLOWED_HOSTS has let in.
CONSOLE_URL = env.text("CONSOLE_URL") and env.web_address(
    "CONSOLE_URL", default="https://console.example.org"
)
# Whom people can ask who cannot sign in, such as a mail address or the number of a desk.
HELP_CONTACT = env.text("HELP_CONTACT")

# --- Mail -----------------------------------------------------------------------------------

EMAIL_CONFIG = env.mail("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
# How many seconds a mail server may take to answer.
EMAIL_TIMEOUT = EMAIL_CONFIG.get("EMAIL_TIMEOUT", 10)
# The recipients of a route of alerts (``alerts/default_routes.py``). There are no ADMINS: errors are logged, and a client
# that can cause an error (a wrong Host is enough) must not be able to send mail.
ALERT_EMAILS = env.addresses("ALERT_EMAILS")
SERVER_EMAIL = env.sender("SERVER_EMAIL", default="console@localhost")

# --- Webhooks -------------------------------------------------------------------------------

# Whether the webhooks of alerts may be sent to loopback, private and link-local addresses.
WEBHOOKS_TO_PRIVATE_ADDRESSES = env.switch("WEBHOOKS_TO_PRIVATE_ADDRESSES", default=False)
# Pinged each minute while the rules of alerts are checked; a service outside warns when that stays out.
DEAD_MAN_URL = env.text("DEAD_MAN_URL") and env.web_address(
    "DEAD_MAN_URL", default="https://ping.example.org/x"
)
