/* The pages of queue and tenants: what is ticked, previews in a dialog, choices that show a field, tabs. */
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  /* --- what is ticked: it outlives the live list's swaps ----------------------------------------------------------- */
  const picked = new Set();
  const boxes = () => all('[data-picks] input[name="pick"]');
  const show = () => {
    const bar = document.querySelector("[data-bulk]");
    for (const box of boxes()) {
      box.checked = picked.has(box.value);
      box.closest("tr")?.classList.toggle("picked", box.checked);
    }
    const head = document.querySelector("[data-pick-all]");
    const count = boxes().filter((box) => box.checked).length;
    if (head) {
      head.checked = count > 0 && count === boxes().length;
      head.indeterminate = count > 0 && !head.checked;
    }
    if (!bar) return;
    bar.classList.toggle("shown", count > 0);
    bar.querySelector("[data-picked]").textContent = count.toLocaleString("en");
    const word = bar.querySelector("[data-picked-word]");
    word.textContent = count === 1 ? word.dataset.one : word.dataset.many;
  };
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.matches('[data-picks] input[name="pick"]')) {
      if (box.checked) picked.add(box.value);
      else picked.delete(box.value);
      show();
    }
    if (box.matches("[data-pick-all]")) {
      for (const other of boxes()) {
        if (box.checked) picked.add(other.value);
        else picked.delete(other.value);
      }
      show();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "x" || event.target.matches("input:not([type=checkbox]), textarea, select")) return;
    const box = document.querySelector('tr.chosen input[name="pick"]');
    if (box && !document.querySelector("dialog[open]")) box.click();
  });

  /* --- a list that is live leaves a reader alone who is about to do something -------------------------------------- */
  document.addEventListener("htmx:beforeRequest", (event) => {
    const list = event.target;
    if (!list.matches?.("[data-live]") || event.detail.requestConfig.triggeringEvent?.type === "submit") return;
    const busy = document.hidden || document.querySelector("dialog[open]") || boxes().some((box) => box.checked);
    if (busy) event.preventDefault();
  });
  document.addEventListener("htmx:afterSwap", () => {
    const there = new Set(boxes().map((box) => box.value));
    for (const value of [...picked]) if (!there.has(value)) picked.delete(value);
    show();
  });

  /* --- previews ----------------------------------------------------------------------------------------------------- */
  document.addEventListener("htmx:afterSettle", (event) => {
    const body = document.getElementById("act_body");
    const dialog = body?.closest("dialog");
    if (!dialog || !body.firstElementChild || event.detail.target?.id !== "act_body") return;
    if (!dialog.open) dialog.showModal();
    (body.querySelector("[autofocus]") || body.querySelector("a, button"))?.focus();
  });
  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : document.body;
    if (target.closest("dialog a[data-close]")) event.preventDefault();
    if (target.closest("[data-unpick]")) {
      picked.clear();
      show();
    }
  });

  /* --- a choice shows the fields that belong to it ------------------------------------------------------------------ */
  const choose = () => {
    for (const part of all("[data-when-kind], [data-when-how]")) {
      const name = "whenKind" in part.dataset ? "kind" : "how";
      const wanted = part.dataset[name === "kind" ? "whenKind" : "whenHow"];
      const chosen = part.closest("form")?.querySelector(`input[name="${name}"]:checked`);
      part.hidden = chosen?.value !== wanted;
    }
  };
  document.addEventListener("change", (event) => {
    if (event.target.matches('input[type="radio"]')) choose();
  });

  /* --- tabs: arrow keys go from one to the next ---------------------------------------------------------------------- */
  const select = (tab) => {
    for (const other of all('[role="tab"]', tab.parentElement)) {
      const on = other === tab;
      other.setAttribute("aria-selected", String(on));
      other.tabIndex = on ? 0 : -1;
      document.getElementById(other.getAttribute("aria-controls")).hidden = !on;
    }
  };
  document.addEventListener("click", (event) => {
    const tab = event.target instanceof Element && event.target.closest('[role="tab"]');
    if (tab) select(tab);
  });
  document.addEventListener("keydown", (event) => {
    const tab = event.target.closest?.('[role="tab"]');
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!tab || !step) return;
    const tabs = all('[role="tab"]', tab.parentElement);
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    select(next);
    next.focus();
    event.preventDefault();
  });

  /* --- begin: a dialog whose form came back with a mistake is open again --------------------------------------------- */
  choose();
  show();
  for (const tab of all('[role="tab"][aria-selected="true"]')) select(tab);
  const wrong = document.querySelector('dialog [aria-invalid="true"]');
  wrong?.closest("dialog").showModal();
  (wrong || document.querySelector('[aria-invalid="true"]'))?.focus();
})();
