/* What the message pages need beyond console.js: parts that are renewed keep what was unfolded and where the reader is. */
"use strict";
(() => {
  const unfolded = new Set();
  document.addEventListener("htmx:beforeSwap", (event) => {
    unfolded.clear();
    for (const open of event.detail.target.querySelectorAll?.("details[id][open]") || []) unfolded.add(open.id);
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const id of unfolded) document.getElementById(id)?.setAttribute("open", "");
    unfolded.clear();
  });

  /* Esc in the search takes the words out first, then leaves the field. */
  document.addEventListener("keydown", (event) => {
    const box = event.target;
    if (event.key !== "Escape" || !(box instanceof HTMLInputElement) || !box.matches("[data-search]") || !box.value) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    box.value = "";
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }, true);
})();
