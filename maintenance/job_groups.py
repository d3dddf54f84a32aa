"""THE list of groups of jobs that can be paused together; a job names its group: ``@job(group="scraping")``."""

from django.utils.translation import gettext_lazy as _

from maintenance.models.groups import JobGroup, declare_group

SCRAPING = declare_group(
    JobGroup(
        slug="scraping",
        title=_("scraping"),
        pause=_("Pause scraping"),
        resume=_("Resume scraping"),
        meaning=_(
            "While it is on, no scrape starts, neither by a schedule nor by hand: a request for one is refused with"
            " this reason. Purges and the verification with Reddit go on, and so does what is running. Slots that pass"
            " meanwhile are written down as skipped."
        ),
        banner=_("Scraping is paused: no scrape starts."),
        is_on=_("Scraping is paused."),
        is_off=_("Scraping goes on: schedules start again."),
    )
)
