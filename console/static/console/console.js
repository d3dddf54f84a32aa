"use strict";
{
    // Presets fill the crontab fields; the change event renews the preview.
    document.addEventListener("click", (event) => {
        const preset = event.target.closest("[data-crontab]");
        if (!preset) {
            return;
        }
        const names = ["minute", "hour", "day_of_month", "month_of_year", "day_of_week"];
        preset.dataset.crontab.split(" ").forEach((value, index) => {
            document.getElementById(`id_${names[index]}`).value = value;
        });
        document.getElementById("id_minute").dispatchEvent(new Event("change", {bubbles: true}));
    });

    // The preview shows times in the browser's zone too.
    document.addEventListener("htmx:configRequest", (event) => {
        if (event.detail.elt.id === "schedule-preview") {
            event.detail.parameters.reader_zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
        }
    });

    // A strip is one tab stop; the arrow keys walk along its runs.
    document.addEventListener("keydown", (event) => {
        const steps = {ArrowLeft: -1, ArrowRight: 1};
        const link = event.target.closest(".strip a");
        if (!link || !(event.key in steps)) {
            return;
        }
        const links = Array.from(link.closest(".strip").querySelectorAll("a"));
        const next = links[links.indexOf(link) + steps[event.key]];
        if (next) {
            link.setAttribute("tabindex", "-1");
            next.setAttribute("tabindex", "0");
            next.focus();
        }
        event.preventDefault();
    });

    // A timeline that is wider than the window opens at the present, beside its names, which stay in sight.
    const now = document.querySelector("#timeline-scroll .now");
    if (now) {
        const place = document.getElementById("timeline-scroll");
        const names = place.querySelector(".names").getBoundingClientRect();
        const middle = (names.right + place.getBoundingClientRect().right) / 2;
        place.scrollLeft += now.getBoundingClientRect().left - middle;
    }

    // A log follows its end until the reader scrolls up.
    const follow = (log) => {
        log.scrollTop = log.scrollHeight;
    };
    document.querySelectorAll(".log").forEach(follow);
    document.addEventListener("htmx:oobBeforeSwap", (event) => {
        const log = event.detail.target.closest(".log");
        if (log) {
            log.dataset.follows = String(log.scrollHeight - log.scrollTop - log.clientHeight < 40);
        }
    });
    document.addEventListener("htmx:oobAfterSwap", (event) => {
        const log = event.detail.target.closest(".log");
        if (log && log.dataset.follows === "true") {
            follow(log);
        }
    });
}
