"use strict";
{
    // A fragment with data-poll asks for itself again every so many seconds (htmx does it at the event "poll"); one that
    // fails goes on asking, more and more slowly, and the page says since when it is stale. A hidden tab asks nothing.
    const SLOWEST_SECONDS = 30;
    const notice = document.getElementById("live-notice");
    const failures = new WeakMap();
    const asleep = new Set();
    const held = new Set();
    // Fragments whose last request failed.
    const lost = new Set();
    // By the server's clock, as all times and ages that the page shows: the reader's may be wrong.
    let current = new Date(notice.dataset.now);
    let ahead = Date.now() - current;
    const now = () => Date.now() - ahead;
    const noteTime = (moment) => {
        current = moment;
        // An answer takes its time, and tells whole seconds: ages do not jump by these.
        if (Math.abs(now() - moment) > 5000) {
            ahead = Date.now() - moment;
        }
    };

    // In the console's zone, as all times of the page; with the date once the page is old.
    const OLD_MS = 12 * 3600 * 1000;
    const inWords = (moment) => {
        const options = {hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23"};
        if (now() - moment > OLD_MS) {
            Object.assign(options, {year: "numeric", month: "2-digit", day: "2-digit"});
        }
        // Sweden writes dates as the console does: 2026-11-30 18:05:09.
        const write = (timeZone) => moment.toLocaleString("sv-SE", {...options, timeZone});
        try {
            return `${write(notice.dataset.zone)} ${notice.dataset.zone}`;
        } catch { // a zone that the browser does not know
            return `${write("UTC")} UTC`;
        }
    };

    const say = (kind) => {
        for (const text of notice.children) {
            text.hidden = text.dataset.kind !== kind;
        }
        notice.hidden = !kind;
        document.documentElement.classList.toggle("is-stale", Boolean(kind));
        if (kind) {
            const time = inWords(current);
            notice.querySelectorAll("[data-as-of]").forEach((place) => {
                place.textContent = time;
            });
        }
    };

    // A selection of text is kept: the reader may be copying it.
    const isSelecting = () => {
        const selection = document.getSelection();
        return selection !== null && !selection.isCollapsed;
    };
    const mustWait = (element) => "keepsSelection" in element.dataset && isSelecting();

    // While they wait for the selection to end, the page does not say that it updates itself.
    const hold = (element) => {
        held.add(element);
        document.documentElement.classList.add("is-held");
    };
    document.addEventListener("selectionchange", () => {
        if (held.size && !isSelecting()) {
            const elements = Array.from(held);
            held.clear();
            document.documentElement.classList.remove("is-held");
            elements.forEach(wake);
        }
    });

    const wake = (element) => {
        if (mustWait(element)) {
            hold(element);
        } else if (element.isConnected) {
            window.htmx.trigger(element, "poll");
        }
    };
    const schedule = (element) => {
        const slowed = Number(element.dataset.poll) * 2 ** (failures.get(element) || 0);
        window.setTimeout(() => {
            if (document.hidden) {
                asleep.add(element);
            } else {
                wake(element);
            }
        }, Math.min(slowed, SLOWEST_SECONDS) * 1000);
    };
    document.addEventListener("visibilitychange", () => {
        if (!document.hidden) {
            const elements = Array.from(asleep);
            asleep.clear();
            elements.forEach(wake);
        }
    });

    const isPolling = (element) => element.matches("[data-poll]");
    document.addEventListener("htmx:load", (event) => {
        const element = event.detail.elt;
        [element, ...element.querySelectorAll("[data-poll]")].filter(isPolling).forEach(schedule);
    });

    // After the session has ended, the sign-in page answers.
    const isElsewhere = (detail) => {
        const target = new URL(detail.xhr.responseURL || window.location.href);
        return target.pathname !== detail.pathInfo.requestPath.split("?")[0];
    };
    document.addEventListener("htmx:beforeSwap", (event) => {
        if (isElsewhere(event.detail)) {
            event.detail.shouldSwap = false;
        } else if (event.detail.shouldSwap && mustWait(event.detail.elt)) {
            // The selection began while the request was under way.
            event.detail.shouldSwap = false;
            hold(event.detail.elt);
        }
    });
    document.addEventListener("htmx:afterRequest", (event) => {
        const {elt, xhr, successful} = event.detail;
        const signedOut = xhr.status === 403 || (successful && isElsewhere(event.detail));
        if (successful && !signedOut) {
            failures.delete(elt);
            lost.delete(elt);
            const asOf = xhr.getResponseHeader("Console-As-Of");
            if (asOf && !held.has(elt)) {
                document.querySelectorAll("[data-current]").forEach((place) => {
                    place.textContent = asOf;
                });
            }
            // While one fragment is lost, the answer of another does not make the page current.
            if (!Array.from(lost).some((element) => element.isConnected)) {
                lost.clear();
                noteTime(new Date(xhr.getResponseHeader("Date") || now()));
                say("");
            }
        } else {
            failures.set(elt, (failures.get(elt) || 0) + 1);
            if (isPolling(elt)) {
                lost.add(elt);
            }
            say(signedOut ? "signed-out" : "lost");
        }
        // A fragment that was swapped in has its own timer.
        if (isPolling(elt) && elt.isConnected && (!successful || signedOut || xhr.status === 204)) {
            schedule(elt);
        }
    });

    // A new fragment keeps the focus, the open details and the scroll positions of the one that it replaces.
    const nameOf = (element) => element.getAttribute("href") || element.getAttribute("formaction") || element.id;
    let before = null;
    const remember = () => {
        before = {
            focused: document.activeElement === document.body ? "" : nameOf(document.activeElement),
            open: Array.from(document.querySelectorAll("details[id][open]"), (details) => details.id),
            scrolled: Array.from(document.querySelectorAll(".scroll[id]"), (place) => [place.id, place.scrollLeft]),
        };
    };
    document.addEventListener("htmx:beforeSwap", remember);
    document.addEventListener("htmx:afterSwap", () => {
        if (before === null) {
            return;
        }
        const {focused, open, scrolled} = before;
        before = null;
        open.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
        scrolled.forEach(([id, left]) => {
            const place = document.getElementById(id);
            if (place) {
                place.scrollLeft = left;
            }
        });
        if (focused && document.activeElement === document.body) {
            const candidates = document.querySelectorAll("#content-main a, #content-main button, #content-main [id]");
            Array.from(candidates).find((element) => nameOf(element) === focused)?.focus({preventScroll: true});
        }
    });

    // A new sign-in, perhaps in another tab, has renewed the token that the page's forms carry.
    const token = () => (document.cookie.match(/(?:^|; )csrftoken=([^;]+)/) || [])[1];
    document.addEventListener("htmx:configRequest", (event) => {
        const isGet = event.detail.verb === "get";
        if (!isGet && token()) {
            event.detail.headers["X-CSRFToken"] = token();
        }
        // Addresses are kept in logs and histories: the token of an included form does not belong there.
        if (isGet || token()) {
            delete event.detail.parameters.csrfmiddlewaretoken;
        }
    });

    // An ended session or an unreachable server loses no input: the form is sent once somebody is signed in.
    // A second click, while the first is under way, is no second request. The answer may be a file: the page stays then.
    const DOUBLE_CLICK_MS = 3000;
    let checked = null;
    const sent = new Set();
    document.addEventListener("submit", (event) => {
        const form = event.target;
        // A form or link for another tab changes nothing in this one.
        const opensElsewhere = event.submitter?.formTarget === "_blank";
        if (checked === form || form.method !== "post" || opensElsewhere || !form.closest("#content-main")) {
            checked = null;
            return;
        }
        event.preventDefault();
        if (sent.has(form)) {
            return;
        }
        sent.add(form);
        const submitter = event.submitter;
        fetch(notice.dataset.session, {cache: "no-store"}).then((answer) => {
            if (!answer.ok) {
                sent.delete(form);
                say("signed-out");
                return;
            }
            say("");
            form.querySelectorAll("input[name=csrfmiddlewaretoken]").forEach((input) => {
                input.value = token() || input.value;
            });
            checked = form;
            window.setTimeout(() => sent.delete(form), DOUBLE_CLICK_MS);
            form.requestSubmit(submitter);
        }, () => {
            sent.delete(form);
            say("not-sent");
        });
    });

    // How long something has been running, second by second, in the words of the server's filter "duration".
    const patterns = JSON.parse(notice.dataset.durations);
    const two = (number) => String(number).padStart(2, "0");
    const durationInWords = (whole) => {
        const [days, hours, minutes, seconds] = [86400, 3600, 60, 1].map((unit) => Math.floor(whole / unit));
        const fill = (pattern, values) => pattern.replace(/%\((\w+)\)s/g, (_all, name) => values[name]);
        if (minutes < 1) {
            return fill(patterns.seconds, {number: seconds});
        }
        if (hours < 1) {
            return fill(patterns.minutes, {minutes, seconds: two(seconds % 60)});
        }
        if (days < 1) {
            return fill(patterns.hours, {hours, minutes: two(minutes % 60)});
        }
        return fill(patterns.days, {days, hours: hours % 24});
    };
    const tick = () => {
        document.querySelectorAll("[data-since]").forEach((place) => {
            const seconds = Math.floor((now() - Date.parse(place.dataset.since)) / 1000);
            if (!isSelecting() || !document.getSelection().containsNode(place, true)) {
                place.textContent = durationInWords(Math.max(0, seconds));
            }
        });
    };
    window.setInterval(tick, 1000);
    document.addEventListener("htmx:load", tick);
    tick();
}
