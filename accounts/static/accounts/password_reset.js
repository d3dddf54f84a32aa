"use strict";
{
    // The code is in the part of the link that browsers never send to a server.
    const code = document.getElementById("id_code");
    const given = window.location.hash.slice(1);
    if (code && given) {
        code.value = given;
        window.history.replaceState(null, "", window.location.pathname);
        document.getElementById("id_password").focus();
    }
}
