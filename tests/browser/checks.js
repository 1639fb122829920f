// What an eye would see in this page: text that is cut off, that lies on other text, that cannot be read, that leaves
// the page to the side. Returns the problems as sentences. Evaluated by harness.py; nothing of it is shipped.
(() => {
  const problems = [];
  const say = (element, text) => problems.push(`${where(element)}: ${text}`);

  const where = (element) => {
    const names = [];
    for (let one = element; one && one !== document.body && names.length < 4; one = one.parentElement) {
      const kind = one.id ? `#${one.id}` : [...one.classList].slice(0, 2).map((name) => `.${name}`).join("");
      names.unshift(one.localName + kind);
      if (one.id) break;
    }
    return names.join(" > ");
  };
  const short = (text) => text.trim().replace(/\s+/g, " ").slice(0, 40);

  // --- colours -------------------------------------------------------------------------------------------------------

  const paint = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const known = new Map();
  const colour = (text) => {
    if (!known.has(text)) {
      paint.clearRect(0, 0, 1, 1);
      paint.fillStyle = text;
      paint.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = paint.getImageData(0, 0, 1, 1).data;
      known.set(text, [r, g, b, a / 255]);
    }
    return known.get(text);
  };
  const over = ([r, g, b, a], [br, bg, bb]) => [r * a + br * (1 - a), g * a + bg * (1 - a), b * a + bb * (1 - a), 1];
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((each) => {
      const share = each / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ratio = (one, two) => {
    const [light, dark] = [luminance(one), luminance(two)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const canvasColour = () => {
    const root = getComputedStyle(document.documentElement);
    const dark = root.colorScheme.includes("dark") && matchMedia("(prefers-color-scheme: dark)").matches;
    return dark ? [18, 18, 18, 1] : [255, 255, 255, 1];
  };
  // What lies behind an element, or null where a picture does.
  const behind = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) {
      const style = getComputedStyle(one);
      if (style.backgroundImage !== "none") return null;
      const [r, g, b, a] = colour(style.backgroundColor);
      if (a > 0) layers.push([r, g, b, a]);
      if (a === 1) break;
    }
    return layers.reduceRight((below, layer) => over(layer, below), canvasColour());
  };
  const opacity = (element) => {
    let share = 1;
    for (let one = element; one; one = one.parentElement) share *= Number(getComputedStyle(one).opacity);
    return share;
  };

  // --- text ----------------------------------------------------------------------------------------------------------

  const isShown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  // Words for screen readers alone are clipped to a point, or pushed out of the page.
  const isUnseen = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const style = getComputedStyle(one);
      if (style.clipPath !== "none" || style.clip !== "auto") return true;
      if (style.position === "absolute" && (one.offsetWidth <= 1 || one.offsetHeight <= 1)) return true;
    }
    return false;
  };
  // Menus, dialogs and bars lie above the page on purpose: what they cover is not overlapped.
  const layerOf = (element) => {
    for (let one = element; one && one !== document.body; one = one.parentElement) {
      const style = getComputedStyle(one);
      if (one.matches("dialog[open], [popover]:popover-open")) return one;
      if (["fixed", "sticky"].includes(style.position)) return one;
      if (style.position === "absolute" && colour(style.backgroundColor)[3] === 1) return one;
    }
    return document.body;
  };
  // The part of a box that its scrolling ancestors let be seen.
  const seenPart = (box, element) => {
    let { left, top, right, bottom } = box;
    for (let one = element; one && one !== document.body; one = one.parentElement) {
      const style = getComputedStyle(one);
      if (style.overflowX === "visible" && style.overflowY === "visible") continue;
      const frame = one.getBoundingClientRect();
      [left, right] = [Math.max(left, frame.left), Math.min(right, frame.right)];
      [top, bottom] = [Math.max(top, frame.top), Math.min(bottom, frame.bottom)];
    }
    return right - left > 1 && bottom - top > 1 ? { left, top, right, bottom } : null;
  };

  const lines = []; // {element, text, box, layer}
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || element.closest("svg, script, style, noscript, option, template")) continue;
    if (!isShown(element) || isUnseen(element)) continue;
    range.selectNodeContents(node);
    const layer = layerOf(element);
    for (const box of range.getClientRects()) {
      if (box.width > 1 && box.height > 1) lines.push({ element, text: short(node.data), box, layer, data: node.data });
    }
  }

  // --- cut off -------------------------------------------------------------------------------------------------------

  const hides = (value) => value === "hidden" || value === "clip";
  const scrolls = (value) => value === "auto" || value === "scroll";
  const told = new Set();
  for (const { element, text, box } of lines) {
    let [x, y] = [true, true];
    for (let one = element; one && one !== document.documentElement && (x || y); one = one.parentElement) {
      const style = getComputedStyle(one);
      const frame = one.getBoundingClientRect();
      if (scrolls(style.overflowX)) x = false;
      if (scrolls(style.overflowY)) y = false;
      if (style.textOverflow === "ellipsis") x = false; // cut on purpose, and shown to be
      if (style.webkitLineClamp !== "none") y = false;
      const leaves = style.position === "fixed"; // nothing further up can cut it
      const cutX = x && hides(style.overflowX) && (box.right > frame.right + 1.5 || box.left < frame.left - 1.5);
      const cutY = y && hides(style.overflowY) && (box.bottom > frame.bottom + 2.5 || box.top < frame.top - 2.5);
      if ((cutX || cutY) && !told.has(element)) {
        told.add(element);
        say(element, `"${text}" is cut off by ${where(one)}`);
      }
      if (leaves) break;
    }
  }
  for (const field of document.querySelectorAll("button, select, input:not([type=hidden]), summary, .badge")) {
    if (!isShown(field) || isUnseen(field) || getComputedStyle(field).textOverflow === "ellipsis") continue;
    const box = field.localName === "input" || field.localName === "select";
    if (!box && field.scrollWidth > field.clientWidth + 2 && getComputedStyle(field).display !== "inline") {
      say(field, `"${short(field.textContent)}" is wider than its box`);
    }
  }

  // --- one on the other ----------------------------------------------------------------------------------------------

  const controls = [...document.querySelectorAll("button, a.button, input:not([type=hidden]), select, textarea")]
    .filter((element) => isShown(element) && !isUnseen(element))
    .map((element) => ({ element, text: "", box: element.getBoundingClientRect(), layer: layerOf(element), isControl: true }));
  const meets = (one, two) => {
    const width = Math.min(one.right, two.right) - Math.max(one.left, two.left);
    const height = Math.min(one.bottom, two.bottom) - Math.max(one.top, two.top);
    return width > 2 && height > 3;
  };
  const seen = lines.map((line) => ({ ...line, box: seenPart(line.box, line.element) })).filter((line) => line.box);
  seen.forEach((one, index) => {
    const others = [...seen.slice(index + 1), ...controls];
    for (const two of others) {
      if (one.layer !== two.layer || one.element === two.element) continue;
      if (two.isControl && two.element.contains(one.element)) continue;
      if (one.element.closest("[aria-hidden=true]") || two.element.closest("[aria-hidden=true]")) continue;
      if (meets(one.box, two.box)) say(one.element, `"${one.text}" lies on ${where(two.element)} "${two.text}"`);
    }
  });

  // --- words that run into one another -------------------------------------------------------------------------------

  for (const one of seen) {
    if (!/[\p{L}\p{N}]$/u.test(one.data) || one.element.closest("pre, code, [aria-hidden=true]")) continue;
    for (const two of seen) {
      if (one.layer !== two.layer || one.element === two.element || !/^[\p{L}\p{N}]/u.test(two.data)) continue;
      const height = Math.min(one.box.bottom, two.box.bottom) - Math.max(one.box.top, two.box.top);
      const gap = two.box.left - one.box.right;
      if (height > 8 && gap > -1 && gap < 1.5) say(one.element, `"${one.text}" runs into "${two.text}"`);
    }
  }
  const measure = new OffscreenCanvas(1, 1).getContext("2d");
  for (const field of document.querySelectorAll("input[placeholder]")) {
    if (field.value || !isShown(field)) continue;
    const style = getComputedStyle(field);
    measure.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    const room = field.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const needed = measure.measureText(field.placeholder).width;
    if (needed > room + 1) say(field, `"${short(field.placeholder)}" does not fit: ${Math.round(needed - room)} px too long`);
  }

  // --- hard to read --------------------------------------------------------------------------------------------------

  const judged = new Set();
  for (const { element, text } of lines) {
    if (judged.has(element) || element.closest(":disabled, [aria-disabled=true]")) continue;
    judged.add(element);
    const style = getComputedStyle(element);
    const ground = behind(element);
    if (!ground) continue;
    const [r, g, b, a] = colour(style.color);
    const found = ratio(over([r, g, b, a * opacity(element)], ground), ground);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (found < (isLarge ? 3 : 4.5) - 0.01) say(element, `"${text}" has a contrast of ${found.toFixed(2)}`);
    if (size < 11) say(element, `"${text}" is only ${size}px high`);
  }

  // --- beyond the edge -----------------------------------------------------------------------------------------------

  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth + 1) {
    const wide = [...document.body.querySelectorAll("*")].filter((element) => {
      const box = element.getBoundingClientRect();
      return isShown(element) && box.width > 0 && box.right > root.clientWidth + 1 && seenPart(box, element.parentElement);
    });
    const last = wide.filter((element) => !wide.some((other) => other !== element && element.contains(other)));
    const names = [...new Set(last.map(where))].slice(0, 5).join("; ");
    problems.push(`the page is ${root.scrollWidth} px wide in a window of ${root.clientWidth}: ${names}`);
  }
  return [...new Set(problems)].slice(0, 40);
})()
