"""Reddit's API, or the sandbox in its place."""

from console.environment import refuse
from console.local import sandbox_beside

from .base import VAR_DIR, env

REDDIT_CLIENT_ID = env.text("REDDIT_CLIENT_ID")
REDDIT_CLIENT_SECRET = env.text("REDDIT_CLIENT_SECRET")
if REDDIT_CLIENT_ID and not REDDIT_CLIENT_SECRET:
    refuse(
        "REDDIT_CLIENT_SECRET",
        "it is missing beside REDDIT_CLIENT_ID.",
        "Write the secret of that Reddit app.",
    )
REDDIT_USER_AGENT = env.text("REDDIT_USER_AGENT")
REDDIT_URL = env.web_address("REDDIT_URL", default="https://www.reddit.com")
REDDIT_OAUTH_URL = env.web_address("REDDIT_OAUTH_URL", default="https://oauth.reddit.com")
# Without a configured Reddit app, a command in a shell scrapes the sandbox of a running `up`.
HAS_OWN_REDDIT_APP = bool(REDDIT_CLIENT_ID)
if not HAS_OWN_REDDIT_APP and (_sandbox := sandbox_beside.variables(VAR_DIR)):
    REDDIT_CLIENT_ID = _sandbox.get("REDDIT_CLIENT_ID", "")
    REDDIT_CLIENT_SECRET = _sandbox.get("REDDIT_CLIENT_SECRET", "")
    REDDIT_USER_AGENT = _sandbox.get("REDDIT_USER_AGENT", "")
    REDDIT_URL = _sandbox.get("REDDIT_URL", REDDIT_URL)
    REDDIT_OAUTH_URL = _sandbox.get("REDDIT_OAUTH_URL", REDDIT_OAUTH_URL)
# How many seconds a request to Reddit may hang.
REDDIT_TIMEOUT_SECONDS = env.number("REDDIT_TIMEOUT_SECONDS", default=16.0, low=0.1, high=300)
