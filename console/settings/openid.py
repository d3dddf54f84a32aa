"""Signing in through an OpenID Connect provider."""

from urllib.parse import urlsplit

from console.environment import refuse

from .base import env

# The provider's issuer, as its discovery document names it; empty: people sign in with passwords only.
OIDC_ISSUER = env.text("OIDC_ISSUER") and env.web_address(
    "OIDC_ISSUER", default="https://id.example.org/realms/main"
)
OIDC_CLIENT_ID = env.text("OIDC_CLIENT_ID")
# Empty for a public client, which PKCE alone protects.
OIDC_CLIENT_SECRET = env.text("OIDC_CLIENT_SECRET")
# What the button on the sign-in page calls the provider.
OIDC_NAME = env.text("OIDC_NAME", default="OpenID")
OIDC_SCOPES = env.text("OIDC_SCOPES", default="openid profile email")
# The claim with the names of a person's groups; dots lead into objects, as in realm_access.roles.
OIDC_GROUPS_CLAIM = env.text("OIDC_GROUPS_CLAIM", default="groups")
# Which group of the provider gives which group of the console; * is everybody whom the provider lets in.
OIDC_ROLES = env.pairs("OIDC_ROLES")
# Whether a person with a role and without an account gets one at the first sign-in.
OIDC_AUTO_CREATE = env.switch("OIDC_AUTO_CREATE", default=False)
# Only people with an address in these domains are let in; empty: all.
OIDC_EMAIL_DOMAINS = [domain.lower() for domain in env.hosts("OIDC_EMAIL_DOMAINS", default=())]
# Whether people who have a second factor here are asked for it after the provider has let them in.
OIDC_SECOND_FACTOR = env.switch("OIDC_SECOND_FACTOR", default=False)
# After how many hours people sign in through the provider again, and their roles are read anew.
OIDC_SESSION_HOURS = env.whole("OIDC_SESSION_HOURS", default=12, low=1, high=336)

_parts = urlsplit(OIDC_ISSUER)
if OIDC_ISSUER:
    if _parts.scheme != "https" and _parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        refuse("OIDC_ISSUER", "it is not encrypted.", "Write an address with https://.")
    if _parts.query or _parts.fragment:
        refuse("OIDC_ISSUER", "an issuer has no ? and no #.", "Write it as the discovery document names it.")
    if not OIDC_CLIENT_ID:
        refuse(
            "OIDC_CLIENT_ID", "it is missing beside OIDC_ISSUER.", "Write the client's id at the provider."
        )
if OIDC_AUTO_CREATE and not OIDC_ROLES:
    refuse(
        "OIDC_ROLES",
        "it is missing beside OIDC_AUTO_CREATE.",
        "Name who gets which role, such as admins=Operators.",
    )
_is_for_everybody = any(group == "*" for group, _role in OIDC_ROLES)
if _is_for_everybody and not OIDC_EMAIL_DOMAINS and _parts.hostname == "accounts.google.com":
    refuse(
        "OIDC_EMAIL_DOMAINS",
        "without it, * in OIDC_ROLES is everybody with a Google account.",
        "Name your domain.",
    )
