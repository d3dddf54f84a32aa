"use strict";
{
    // Asks the browser for a passkey and sends its answer with the form. The options come from the page (js_data), or, on
    // the log-in page, from the address of the form: they can be used once.
    const find = (id) => document.getElementById(id);
    const failed = (error) => {
        const notice = find("passkey_failed");
        if (notice) {
            notice.hidden = false;
        }
        console.info(error);
    };
    const onPage = () => JSON.parse(find("js_data").textContent);
    const asked = async (form) => {
        const answer = await fetch(form.action, {headers: {Accept: "application/json"}, cache: "no-store"});
        if (!answer.ok) {
            throw new Error(`The options of a passkey were answered with ${answer.status}.`);
        }
        return answer.json();
    };
    // The passkey is also one to log in with alone, which needs the person's finger, face or PIN.
    const asPasskey = (options) => {
        const wanted = JSON.parse(JSON.stringify(options));
        Object.assign(wanted.publicKey.authenticatorSelection, {
            residentKey: "required",
            requireResidentKey: true,
            userVerification: "required",
        });
        return wanted;
    };
    const connect = (id, answerOf) => {
        const button = find(id);
        if (!button) {
            return;
        }
        const form = button.form;
        button.addEventListener("click", async (event) => {
            event.preventDefault();
            try {
                const credential = await answerOf(form);
                form.querySelector("[name=credential]").value = JSON.stringify(credential);
                form.submit();
            } catch (error) {
                failed(error);
            }
        });
    };
    if (window.PublicKeyCredential) {
        document.querySelectorAll("[data-needs-passkeys]").forEach((part) => {
            part.hidden = false;
        });
        connect("passkey_login", async (form) => window.webauthnJSON.get((await asked(form)).request_options));
        connect("passkey_authenticate", () => window.webauthnJSON.get(onPage().request_options));
        connect("passkey_add", () => window.webauthnJSON.create(asPasskey(onPage().creation_options)));
    }
}
