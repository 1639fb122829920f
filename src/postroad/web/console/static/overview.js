/* The overview as it changes: parts of the page and figures come by server-sent events; the large picture is drawn here. */
"use strict";
(() => {
  const root = document.getElementById("overview");
  const chartBox = document.getElementById("chart");
  const pulse = document.getElementById("pulse");

  /* --- which span ------------------------------------------------------------------------------------------------- */
  const figures = document.querySelector("[data-figures]");
  const choose = (span) => {
    root.dataset.span = span;
    document.cookie = `postroad-span=${span}; path=/console; max-age=34560000; samesite=lax`;
    for (const link of document.querySelectorAll("[data-span-choice]")) {
      if (link.dataset.spanChoice === span) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    const address = new URL(figures.href);
    address.searchParams.set("span", span);
    figures.href = address;
    draw();
  };
  document.querySelector("[data-spans]").addEventListener("click", (event) => {
    const link = event.target.closest("[data-span-choice]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    choose(link.dataset.spanChoice);
  });

  /* --- the picture ------------------------------------------------------------------------------------------------ */
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const two = (value) => String(value).padStart(2, "0");
  const clock = (at) => `${two(at.getHours())}:${two(at.getMinutes())}`;
  const day = (at) => `${at.getDate()} ${months[at.getMonth()]}`;
  const short = (value) =>
    value >= 1e6 ? `${+(value / 1e6).toFixed(1)}M` : value >= 1e4 ? `${+(value / 1e3).toFixed(1)}k` : value.toLocaleString("en");
  const kinds = [["delivered", "Delivered"], ["deferred", "Deferred"], ["bounced", "Bounced"], ["in", "In"]];

  const probe = document.createElement("span");
  probe.hidden = true;
  root.append(probe);
  const colour = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };

  let series = JSON.parse(chartBox.dataset.series);
  let plot = null;
  const current = () => series[root.dataset.span];
  const stacked = (one) => {
    const times = one.delivered.map((_, at) => one.start + (at + 0.5) * one.step);
    const low = one.delivered.map((value, at) => value + one.deferred[at]);
    const all = low.map((value, at) => value + one.bounced[at]);
    return [times, all, low, one.delivered, one.in];
  };
  const label = (one, at) => {
    const from = new Date((one.start + at * one.step) * 1000);
    const to = new Date((one.start + (at + 1) * one.step) * 1000);
    const place = one.step >= 3600 ? `${day(from)}, ` : "";
    return `${place}${clock(from)} – ${clock(to)}`;
  };

  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  const showTip = (chart) => {
    const at = chart.cursor.idx;
    const one = current();
    tip.hidden = at === null || at === undefined || chart.cursor.left < 0;
    if (tip.hidden) return;
    const head = document.createElement("b");
    head.textContent = label(one, at);
    const lines = kinds.map(([kind, words]) => {
      const line = document.createElement("p");
      const name = document.createElement("span");
      const value = document.createElement("span");
      name.textContent = words;
      value.textContent = one[kind][at].toLocaleString("en");
      line.append(name, value);
      return line;
    });
    tip.replaceChildren(head, ...lines);
    const left = chart.valToPos(chart.data[0][at], "x") + chart.over.offsetLeft;
    const flip = left > chartBox.clientWidth / 2;
    tip.style.transform = `translate(${Math.round(flip ? left - tip.offsetWidth - 14 : left + 14)}px, 8px)`;
  };

  const dashes = (chart, number, first, last) => { // a short line across each step, at its value
    const stroke = new Path2D();
    const [times] = chart.data;
    const half = (chart.valToPos(current().step, "x", true) - chart.valToPos(0, "x", true)) / 2;
    for (let at = first; at <= last; at += 1) {
      const value = chart.data[number][at];
      if (!value) continue;
      const x = chart.valToPos(times[at], "x", true);
      const y = chart.valToPos(value, "y", true);
      stroke.moveTo(x - half, y);
      stroke.lineTo(x + half, y);
    }
    return { stroke, fill: null, clip: null, band: null, gaps: null, flags: 1 };
  };
  const options = () => {
    const one = current();
    const bars = uPlot.paths.bars({ size: [0.74, 48], radius: 0.12 });
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const bar = (name) => ({ fill: colour(name), width: 0, paths: bars, points: { show: false } });
    const axis = { stroke: colour("--ink-2"), font, ticks: { show: false } };
    return {
      width: chartBox.clientWidth,
      height: chartBox.clientHeight,
      padding: [10, 24, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: {
        x: { range: () => { const now = current(); return [now.start, now.start + now.delivered.length * now.step]; } },
        y: { range: (_, __, top) => [0, Math.max(4, top * 1.08)] },
      },
      axes: [
        { ...axis, size: 28, grid: { show: false }, space: 64, values: (_, ticks) => ticks.map((tick) => { const at = new Date(tick * 1000); return current().step >= 3600 || (at.getHours() === 0 && at.getMinutes() === 0) ? day(at) : clock(at); }) },
        { ...axis, size: 46, gap: 6, grid: { stroke: colour("--line"), width: 1 }, incrs: [1, 2, 5].flatMap((base) => Array.from({ length: 9 }, (_, power) => base * 10 ** power)).sort((a, b) => a - b), values: (_, ticks) => ticks.map(short) },
      ],
      series: [
        {},
        bar("--chart-bad"),
        bar("--chart-warn"),
        bar("--chart-good"),
        { stroke: colour("--chart-note"), width: 2, paths: dashes, points: { show: false } },
      ],
      hooks: { setCursor: [showTip], setData: [showTip] },
    };
  };
  let drawn = "";
  const draw = () => {
    const one = current();
    if (plot && drawn === root.dataset.span) {
      plot.setData(stacked(one));
    } else {
      plot?.destroy();
      drawn = root.dataset.span;
      plot = new uPlot(options(), stacked(one), chartBox);
      chartBox.append(tip);
    }
    const silent = kinds.every(([kind]) => one[kind].every((value) => !value));
    let words = chartBox.querySelector(".empty-chart");
    if (silent && !words) {
      words = document.createElement("p");
      words.className = "empty-chart";
      words.textContent = "No mail in this span";
      chartBox.append(words);
    } else if (!silent) words?.remove();
  };
  const anew = () => { drawn = ""; draw(); };
  new ResizeObserver(() => plot?.setSize({ width: chartBox.clientWidth, height: chartBox.clientHeight })).observe(chartBox);
  document.addEventListener("postroad:theme", () => requestAnimationFrame(anew));
  draw();

  /* --- parts that change ------------------------------------------------------------------------------------------ */
  const waiting = new Map();
  const put = (name, html) => {
    const place = document.getElementById(`live-${name}`);
    if (place.contains(document.activeElement)) {
      waiting.set(name, html); // nobody's place is taken away under their hands
      return;
    }
    const known = new Set([...place.querySelectorAll("a.row-link")].map((link) => link.href));
    const template = document.createElement("template");
    template.innerHTML = html;
    place.replaceChildren(template.content);
    window.postroad.tellTimes(place);
    if (name !== "recent" || !known.size) return;
    for (const link of place.querySelectorAll("a.row-link")) if (!known.has(link.href)) link.parentElement.classList.add("fresh");
  };
  document.addEventListener("focusout", () => setTimeout(() => {
    for (const [name, html] of [...waiting]) {
      waiting.delete(name);
      put(name, html);
    }
  }));
  const take = ({ series: drawing, ...parts }) => {
    for (const [name, html] of Object.entries(parts)) put(name, html);
    if (drawing) {
      series = JSON.parse(drawing);
      draw();
    }
  };

  /* --- the line to the server ------------------------------------------------------------------------------------- */
  const words = { live: "Live", lost: "Reconnecting …", out: "Signed out", still: "Connecting …" };
  const state = (name) => {
    if (pulse.dataset.state === name) return;
    pulse.dataset.state = name;
    pulse.querySelector("[data-pulse-words]").textContent = name === "lost" ? `${words.lost} these figures are of ${last}` : words[name];
    root.classList.toggle("stale", name === "lost" || name === "out");
  };
  let last = pulse.querySelector("time").textContent;
  let source = null;
  let watchdog = 0;
  let retry = 0;
  const silence = 15000; // the server says something at least every five seconds
  const alive = () => {
    const now = new Date();
    last = `${clock(now)}:${two(now.getSeconds())}`;
    clearTimeout(watchdog);
    watchdog = setTimeout(lost, silence);
    retry = 0;
    state("live");
  };
  const disconnect = () => {
    clearTimeout(watchdog);
    source?.close();
    source = null;
  };
  const lost = async () => {
    disconnect();
    state("lost");
    const answer = await fetch(root.dataset.events.replace("events", "machine"), { redirect: "manual" }).catch(() => null);
    if (answer?.status === 401) {
      state("out");
      location.assign(location.href);
      return;
    }
    retry = Math.min(retry + 1, 5);
    setTimeout(connect, 1000 * retry);
  };
  const connect = () => {
    if (source || document.hidden) return;
    source = new EventSource(root.dataset.events);
    source.onmessage = (event) => {
      alive();
      take(JSON.parse(event.data));
    };
    source.onerror = lost;
    clearTimeout(watchdog);
    watchdog = setTimeout(lost, silence);
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
  addEventListener("pagehide", disconnect);
  connect();
})();
