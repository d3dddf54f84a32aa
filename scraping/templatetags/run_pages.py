"""Template tags for the addresses of pages about runs, which a higher layer serves."""

from django import template

from scraping.runs import runs

register = template.Library()


@register.simple_tag
def run_page(run_id: int) -> str:
    """Return the address of a run's page."""
    return runs().run_page(run_id)


@register.simple_tag
def scrape_page(config_id: int, subreddit: str = "") -> str:
    """Return the address of the page that starts a scrape of a bot, or of one of its subreddits."""
    return runs().scrape_page(config_id, subreddit)
