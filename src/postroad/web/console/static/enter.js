/* A sign-in link is used up by this, and not by whoever only looks at its page. */
"use strict";
document.querySelector("form[data-enter]")?.requestSubmit();
