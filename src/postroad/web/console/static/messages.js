/* What the message pages need beyond console.js: parts that are renewed keep what was unfolded; what asks opens when it has come. */
"use strict";
(() => {
  const unfolded = new Set();
  document.addEventListener("htmx:beforeSwap", (event) => {
    unfolded.clear();
    for (const open of event.detail.target.querySelectorAll?.("details[id][open]") || []) unfolded.add(open.id);
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    for (const id of unfolded) document.getElementById(id)?.setAttribute("open", "");
    unfolded.clear();
    const dialog = event.detail.target.closest?.("dialog");
    if (dialog && !dialog.open) dialog.showModal();
  });

  /* In a dialog "Keep it as it is" only closes; by itself it leads back. */
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("dialog a[data-close]")) event.preventDefault();
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
