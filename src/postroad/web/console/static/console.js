/* What every page needs: times in the reader's zone, the choice of light or dark, keys, dialogs, short words about what
   was done, copying. Everything works by attributes of the page; nothing is evaluated, no style is written. */
"use strict";
(() => {
  const all = (selector, root = document) => root.querySelectorAll(selector);
  const remember = (name, value, days) => {
    document.cookie = `${name}=${encodeURIComponent(value)}; path=/console; max-age=${days * 86400}; samesite=lax`;
  };

  /* --- times ------------------------------------------------------------------------------------------------------ */
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  remember("postroad-zone", zone, 400);
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const two = (value) => String(value).padStart(2, "0");
  const clock = (at) => `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const day = (at) => `${at.getDate()} ${months[at.getMonth()]} ${at.getFullYear()}`;
  const near = (at, now) => {
    const year = at.getFullYear() === now.getFullYear() ? "" : ` ${at.getFullYear()}`;
    return `${at.getDate()} ${months[at.getMonth()]}${year}, ${two(at.getHours())}:${two(at.getMinutes())}`;
  };
  const ago = (at) => {
    const now = new Date();
    const seconds = (now - at) / 1000;
    const distance = Math.abs(seconds);
    if (distance < 5) return "just now";
    if (distance >= 86400) return near(at, now);
    const text =
      distance < 60 ? `${Math.round(distance)} s`
      : distance < 3600 ? `${Math.floor(distance / 60)} min`
      : `${Math.floor(distance / 3600)} h`;
    return seconds > 0 ? `${text} ago` : `in ${text}`;
  };
  const forms = { ago, clock, day, near: (at) => near(at, new Date()), exact: (at) => `${day(at)}, ${clock(at)}` };
  const tellTimes = (root = document) => {
    for (const element of all("time[data-when]", root)) {
      const at = new Date(element.dateTime);
      const text = (forms[element.dataset.when] || ago)(at);
      if (element.textContent !== text) element.textContent = text;
      element.title = forms.exact(at);
    }
  };
  setInterval(() => { if (!document.hidden) tellTimes(); }, 15000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) tellTimes(); });

  /* --- light and dark --------------------------------------------------------------------------------------------- */
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-theme-choice]")) return;
    const theme = event.target.value;
    remember("postroad-theme", theme, theme ? 400 : 0);
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    document.dispatchEvent(new Event("postroad:theme"));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    document.dispatchEvent(new Event("postroad:theme"));
  });

  /* --- short words ------------------------------------------------------------------------------------------------ */
  const told = document.getElementById("told");
  const leave = (toast) => {
    toast.classList.add("going");
    setTimeout(() => toast.remove(), 300);
  };
  const linger = (toast) => {
    if (!toast.classList.contains("bad")) setTimeout(() => leave(toast), 6000);
  };
  const icons = { good: "m5 12.5 4.5 4.5L19 7.5", bad: "M12 3.5 2.5 20h19zM12 10v4.5M12 17.3h.01", note: "M12 11v5.5M12 7.7h.01" };
  const picture = (path) => {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("class", "icon");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    svg.append(document.createElementNS(space, "path"));
    svg.firstChild.setAttribute("d", path);
    return svg;
  };
  const tell = (text, kind = "good") => {
    for (const toast of all(".toast", told)) if (toast.querySelector("p").textContent === text) toast.remove();
    const toast = document.createElement("div");
    const words = document.createElement("p");
    const close = document.createElement("button");
    toast.className = `toast ${kind}`;
    words.textContent = text;
    close.type = "button";
    close.className = "plain icon-only";
    close.dataset.untell = "";
    close.setAttribute("aria-label", "Dismiss");
    close.append(picture("m6 6 12 12M18 6 6 18"));
    toast.append(picture(icons[kind] || icons.note), words, close);
    told.append(toast);
    linger(toast);
  };
  for (const toast of all(".toast", told)) linger(toast);
  document.addEventListener("postroad:tell", (event) => tell(event.detail.text, event.detail.kind));
  // htmx tells the browser's console of each request that was given up; to type on, or to leave a page, is no error.
  htmx.logger = (_element, name, detail) => {
    if (name === "htmx:sendAbort" || (name === "htmx:afterRequest" && detail.xhr?.status === 0)) delete detail.error;
  };
  document.addEventListener("htmx:sendError", () => tell("The server could not be reached. Please try again.", "bad"));
  document.addEventListener("htmx:timeout", () => tell("The server took too long to answer. Please try again.", "bad"));
  document.addEventListener("htmx:responseError", (event) => {
    const { status, getResponseHeader } = event.detail.xhr;
    if (status === 401) return;
    const said = event.detail.xhr.getResponseHeader("HX-Trigger") || "";
    if (getResponseHeader && !said.includes("postroad:tell")) tell("That did not work. Please try again.", "bad");
  });

  /* --- dialogs, menus, copying ------------------------------------------------------------------------------------ */
  const openDialog = (id) => {
    const dialog = document.getElementById(id);
    if (dialog && !dialog.open) dialog.showModal();
  };
  document.addEventListener("click", (event) => {
    const target = event.target;
    if (!(target instanceof Element)) return;
    const opener = target.closest("[data-dialog]");
    if (opener) openDialog(opener.dataset.dialog);
    if (target.closest("[data-close]")) target.closest("dialog")?.close();
    if (target.matches("dialog") && outside(target, event)) target.close();
    const untell = target.closest("[data-untell]");
    if (untell) leave(untell.closest(".toast"));
    const copier = target.closest("[data-copy]");
    if (copier) copy(copier);
    for (const open of all("details.hint[open], details.who[open], details.menu[open]")) {
      if (!open.contains(target)) open.open = false;
    }
  });
  const outside = (dialog, event) => {
    const box = dialog.getBoundingClientRect();
    return event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
  };
  const copy = async (button) => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.classList.add("copied");
      setTimeout(() => button.classList.remove("copied"), 1500);
      tell("Copied.");
    } catch {
      tell("Your browser does not let this page copy. Select the text and copy it by hand.", "bad");
    }
  };

  /* --- keys ------------------------------------------------------------------------------------------------------- */
  let pending = 0;
  const typing = (element) => element.matches("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
  const rows = () => [...all("[data-rows] > tr, [data-rows] > li")].filter((row) => row.offsetParent);
  const step = (by) => {
    const list = rows();
    if (!list.length) return;
    const at = list.findIndex((row) => row.classList.contains("chosen"));
    const next = list[Math.min(Math.max(at + by, 0), list.length - 1)];
    for (const row of list) row.classList.toggle("chosen", row === next);
    (next.querySelector("a.row-link, a") || next).focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  };
  const search = () => {
    const here = document.querySelector("main [data-search]");
    const box = here || document.querySelector("[data-search-anywhere]");
    if (!box) return false;
    if (!box.offsetParent) document.getElementById("side")?.showPopover?.();
    box.focus();
    box.select?.();
    return true;
  };
  const go = (key) => {
    const link = key.length === 1 && document.querySelector(`[data-go="${CSS.escape(key)}"]`);
    if (link) location.assign(link.href);
    return Boolean(link);
  };
  const keys = {
    "/": search,
    "?": () => { openDialog("keys-help"); return true; },
    j: () => { step(1); return true; },
    k: () => { step(-1); return true; },
    g: () => { pending = Date.now(); return true; },
  };
  document.addEventListener("keydown", (event) => {
    const element = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey || !(element instanceof Element)) return;
    if (event.key === "Escape") {
      for (const open of all("details.hint[open], details.who[open], details.menu[open]")) open.open = false;
      if (typing(element)) element.blur();
      return;
    }
    if (event.key === "ArrowDown" && element.matches("main [data-search]") && rows().length) {
      event.preventDefault();
      step(1);
      return;
    }
    if (typing(element) || document.querySelector("dialog[open]")) return;
    if (pending && Date.now() - pending < 1500) {
      pending = 0;
      if (go(event.key)) event.preventDefault();
      return;
    }
    pending = 0;
    if (keys[event.key]?.()) event.preventDefault();
  });

  /* --- begin ------------------------------------------------------------------------------------------------------ */
  document.addEventListener("htmx:load", (event) => tellTimes(event.target));
  tellTimes();
  window.postroad = { tell, tellTimes };
})();
