"""What a reader meets on a page, as the browser shows it: texts, links, sizes; and what axe says of it."""

import re
from importlib.resources import files

from django.contrib.auth.models import Group, User
from django_celery_beat.models import PeriodicTask

from maintenance.models import BeatLease, JobRun, MaintenanceMode, RunLogLine, ScheduleControl, WorkerProcess
from scraping.models import BotConfig, RedditApp, RedditComment, RedditPost, ScrapeSession

# Values that were not rendered, which no page may show.
UNRENDERED = re.compile(
    r"(?m:(?:^|[:·(=]\s?)None(?:$|\s?[,·)]))|\bnan\b"
    r"|\bundefined\b|\[object|%\(\w+\)|\{[{%]|datetime\.|&(?:amp|lt|#\d+);|<bound|lazy"
)
# Latin words of a Chinese page: names, notations and what is written so in Chinese too.
NOT_TRANSLATED = frozenset(
    [
        "Reddit",
        "NSFW",
        "CSV",
        "JSON",
        "JSONL",
        "Parquet",
        "URL",
        "UTC",
        "API",
        "UTF",
        "Celery",
        "Django",
        "RE",
        "cron",
        "crontab",
        "root",
        "ID",
        "CST",
        "EST",
        "EDT",
        "GMT",
        "PM",
        "AM",
        "superuser",
        "admin",
        "MB",
        "KB",
        "GB",
        "ms",
        "rev",
        "Redis",
        "PostgreSQL",
        "SQLite",
    ]
)
READ_PAGE = """() => {
  const lookMs = 30000;  // so long ago the page may have been made: a slot may have come since
  const times = [...document.querySelectorAll('time.next-run')];
  const data = 'code, pre, textarea, option, script, style, [lang], .traceback, .verbatim';
  const words = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const parent = node.parentElement;
    if (!parent.closest(data) && node.data.trim()) words.push(node.data.trim());
  }
  for (const one of document.querySelectorAll('[title], [aria-label], [placeholder], [alt]'))
    for (const name of ['title', 'aria-label', 'placeholder', 'alt'])
      if (one.getAttribute(name) && !one.closest(data)) words.push(one.getAttribute(name));
  return {
    texts: words,
    shown: document.body.innerText,
    title: document.title,
    heading: document.querySelector('h1, h2')?.innerText ?? '',
    language: document.documentElement.lang,
    wide: document.documentElement.scrollWidth - window.innerWidth,
    nextRuns: times.length,
    late: times.filter((one) => !(Date.parse(one.dateTime) > Date.now() - lookMs)).map((one) => one.outerHTML),
    tables: [...document.querySelectorAll('table')].filter((one) => one.offsetParent && (
      !(one.caption || one.getAttribute('aria-label') || one.getAttribute('aria-labelledby'))
      || one.querySelector('th:not([scope])'))).map((one) => one.innerText.slice(0, 60)),
    links: [...document.querySelectorAll('a[href]')].map((one) => one.href),
  };
}"""
REPORT_CSP = (
    "document.addEventListener('securitypolicyviolation', e => console.error('CSP: ' + e.violatedDirective))"
)
CHINESE = re.compile("[\u3400-\u9fff]")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def axe_source():
    """Return axe-core's source, as its Playwright package carries it."""
    return (files("axe_playwright_python") / "axe.min.js").read_text()


def violations(page, axe):
    """Return what axe finds on the open page: rules, each with one element."""
    options = {"runOnly": RULES, "resultTypes": ["violations"], "preload": False}
    # Evaluated, not added as a script element: the CSP forbids that, and stays on.
    result = page.evaluate(f"options => {{ {axe}; return axe.run(document, options) }}", options)
    return [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in result["violations"]]


def unfold(page):
    """Open all that folds open."""
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


def names_of_people_and_things():
    """Return what people and Reddit have written themselves, the longest first: nobody translates that."""
    columns = [
        (User, "username"), (Group, "name"), (PeriodicTask, "name"), (RedditApp, "name"), (RedditApp, "client_id"),
        (BotConfig, "name"), (ScrapeSession, "config_name"), (RedditPost, "title"), (RedditPost, "hold_reason"),
        (RedditComment, "body"), (ScheduleControl, "pause_reason"), (MaintenanceMode, "reason"),
        (BeatLease, "holder"), (RunLogLine, "text"), (JobRun, "traceback"), (WorkerProcess, "name"),
    ]  # fmt: skip
    # A message has its own words, in the reader's language.
    found = {
        text
        for model, column in columns
        for text, *parts in model.objects.values_list(
            column, *([f"{column}_parts"] if hasattr(model, f"{column}_parts") else [])
        )
        if text and not any(parts)
    }
    return sorted(found, key=len, reverse=True)


def untranslated(text, names):
    """Return the English words of a text that is no name, number or notation."""
    for name in names:
        text = text.replace(name, "")
    words = re.findall(r"(?<![\w/@.#_-])[A-Za-z][a-z]+(?![\w@.=_/-]\w|_)", text)
    return [word for word in words if word not in NOT_TRANSLATED]
