"use strict";
{
    // "/" searches, "?" lists the shortcuts, "g" and a letter opens a page of the menu. They can be switched off, because
    // somebody who dictates to the computer would press them by accident (WCAG 2.1.4).
    const KEY = "console.shortcuts";
    const SEQUENCE_MS = 1500;
    const dialog = document.getElementById("shortcuts");
    const box = document.getElementById("shortcuts-on");
    const opener = document.getElementById("shortcuts-open");
    const search = document.getElementById("global-search");

    const isOn = () => window.localStorage.getItem(KEY) !== "off";
    const open = () => {
        if (!dialog.open) {
            box.checked = isOn();
            dialog.showModal();
        }
    };
    if (dialog) {
        // Pages with their own header (changing the password) have no such button; "?" opens the list there too.
        if (opener) {
            opener.hidden = false;
            opener.addEventListener("click", open);
        }
        box.addEventListener("change", () => window.localStorage.setItem(KEY, box.checked ? "on" : "off"));
        // A click on the backdrop closes the dialog.
        dialog.addEventListener("click", (event) => {
            if (event.target === dialog) {
                dialog.close();
            }
        });
    }

    let first = "";
    let startedAt = 0;
    const isTyping = (element) => element.closest("input, select, textarea, [contenteditable]") !== null;
    document.addEventListener("keydown", (event) => {
        if (!dialog || !isOn() || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) {
            return;
        }
        if (!(event.target instanceof Element) || isTyping(event.target)) {
            return;
        }
        if (event.key === "/" && !dialog.open) {
            event.preventDefault();
            search.focus();
            search.select();
        } else if (event.key === "?") {
            event.preventDefault();
            open();
        } else if (event.key.length === 1) {
            const isSecond = first && event.timeStamp - startedAt < SEQUENCE_MS;
            const link = isSecond && dialog.querySelector(`[data-keys="${CSS.escape(first + event.key)}"]`);
            if (link) {
                window.location.assign(link.href);
            }
            first = event.key;
            startedAt = event.timeStamp;
        }
    });
}
