"""Signing in through an OpenID Connect provider such as Keycloak, Google or Authentik (ADR 50)."""
