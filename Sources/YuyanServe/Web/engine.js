// The live view of the engine: its cache block by block, its sequences, its speed.

import { getJSON } from "./api.js";
import { byId, h } from "./dom.js";
import { duration, number, percent, t } from "./strings.js";

const INTERVAL = 1000;
const HISTORY = 120; // answers that the curves hold
const LEAST = 30; // answers that fill the width of a curve
const FREE = 0, CACHED = 1, USED = 2;

let state = null; // the server's last answer
let timer = 0;
let wanted = false;
let selected = null; // the sequence whose blocks stand out
let cursor = -1; // the block that the arrow keys reached
let layout = { cell: 10, columns: 1 };
const curves = { tokens_per_s: [], prefill_tokens_per_s: [] };

/** Connects the pane; `showEngine` then starts and stops the polling. */
export function startEngine() {
  const map = byId("map");
  new ResizeObserver(() => drawMap()).observe(map.parentElement);
  map.addEventListener("pointermove", (event) => {
    const box = map.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / layout.cell);
    const row = Math.floor((event.clientY - box.top) / layout.cell);
    readBlock(column < layout.columns ? row * layout.columns + column : -1);
  });
  map.addEventListener("pointerleave", () => readBlock(-1));
  map.addEventListener("blur", () => readBlock(-1));
  map.addEventListener("keydown", (event) => {
    const { columns } = layout;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
    if (!steps[event.key] || !state) return;
    event.preventDefault();
    readBlock(Math.min(Math.max(0, cursor + steps[event.key]), state.total_blocks - 1));
  });
  document.addEventListener("visibilitychange", () => showEngine(wanted));
}

/** Polls while the pane is wanted and the page is visible. */
export function showEngine(want) {
  wanted = want;
  clearTimeout(timer);
  if (wanted && !document.hidden) poll();
}

/** Draws the last answer again, as after a change of language or colours. */
export function redrawEngine() {
  if (state) draw();
}

async function poll() {
  const note = byId("engine-note");
  try {
    state = await getJSON("engine");
    for (const [name, values] of Object.entries(curves)) {
      values.push(state[name] ?? 0);
      if (values.length > HISTORY) values.shift();
    }
    note.hidden = true;
    draw();
  } catch (error) {
    note.hidden = false;
    note.textContent = error.status === 401 ? t("needKey")
      : t("engineLost", { reason: error.message });
  }
  clearTimeout(timer);
  if (wanted && !document.hidden) timer = setTimeout(poll, INTERVAL);
}

function draw() {
  drawTiles();
  drawMap();
  drawRunning();
  const ratio = (part, whole) => (whole > 0 ? part / whole : 0);
  const totals = [
    ...state.uptime_s >= 0 ? [["uptime", duration(Math.floor(state.uptime_s))]] : [],
    ["requests", number(state.requests)],
    ["totalPrompt", number(state.prompt_tokens)],
    ["totalGenerated", number(state.generated_tokens)],
    ["preemptions", number(state.preemptions)], ["evicted", number(state.evicted_blocks)],
    ["cancelled", number(state.cancelled)], ["overhead", percent(state.overhead_share, 1)],
    ["tileHits", percent(ratio(state.prefix_hits, state.prefix_queries), 1)],
    ...state.speculation ? [["guessing", state.speculation.explanation]] : [],
  ];
  byId("totals").replaceChildren(...totals.map(([key, value]) =>
    h("div", null, h("dt", null, t(key)), h("dd", null, value))));
}

function drawTiles() {
  const ratio = (part, whole) => (whole > 0 ? part / whole : 0);
  const { tokens_per_s: rates, prefill_tokens_per_s: prefills } = curves;
  const { used_blocks: used, drafted_tokens: drafted, speculation } = state;
  const guessing = speculation
    ? t(speculation.on ? "guessingOn" : "guessingOff", { length: number(speculation.length, 1) })
    : t("tileOff");
  const speed = (value) => number(value, value < 100 ? 1 : 0);
  const tiles = [
    tile("tileRate", speed(state.tokens_per_s), t("peak", { value: speed(Math.max(...rates)) }),
      { curve: rates }),
    tile("tilePrefill", speed(state.prefill_tokens_per_s),
      t("peak", { value: speed(Math.max(...prefills)) }), { curve: prefills }),
    tile("tileRunning", number(state.running.length),
      t("tileWaiting", { count: number(state.waiting) })),
    tile("tileCache", percent(ratio(used, state.total_blocks)),
      t("tileTokens", { count: number(state.live_tokens) }),
      { share: ratio(used, state.total_blocks) }),
    tile("tileUtilization", used ? percent(state.utilization, 1) : "–",
      t("tileFragmentation", { share: used ? percent(1 - state.utilization, 1) : "–" }),
      { share: used ? state.utilization : 0 }),
    tile("tileHits", percent(ratio(state.prefix_hits, state.prefix_queries), 1),
      t("tileHitsNote", { hits: number(state.prefix_hits), queries: number(state.prefix_queries) }),
      { share: ratio(state.prefix_hits, state.prefix_queries) }),
    tile("tileAccepted", drafted ? percent(ratio(state.accepted_tokens, drafted), 1) : "–",
      drafted ? `${t("tileAcceptedNote",
        { accepted: number(state.accepted_tokens), drafted: number(drafted) })} · ${guessing}`
        : guessing,
      { share: ratio(state.accepted_tokens, drafted) }),
  ];
  byId("tiles").replaceChildren(...tiles);
}

function tile(key, value, note, { curve, share } = {}) {
  const element = h("div", { class: curve ? "tile wide" : "tile" },
    h("span", { class: "tile-name" }, t(key)), h("b", null, value), h("small", null, note));
  if (curve) element.append(sparkline(curve));
  if (share !== undefined) {
    const bar = h("i");
    bar.style.width = `${Math.min(Math.max(share, 0), 1) * 100}%`;
    element.append(h("div", { class: "meter" }, bar));
  }
  return element;
}

function sparkline(values) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const width = Math.max(values.length, LEAST) - 1;
  svg.setAttribute("viewBox", `0 0 ${width} 30`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "sparkline");
  svg.setAttribute("aria-hidden", "true");
  const top = Math.max(...values, 1e-9);
  const start = width + 1 - values.length;
  const points = values.map((value, index) =>
    `${start + index},${(29 - (value / top) * 27).toFixed(1)}`);
  for (const [tag, list] of [["polygon", [`${start},30`, ...points, `${width},30`]],
    ["polyline", points]]) {
    const shape = document.createElementNS(space, tag);
    shape.setAttribute("points", list.join(" "));
    svg.append(shape);
  }
  return svg;
}

/** The colour of a sequence: neighbours in number are far apart in hue. */
function colour(sequence, dark) {
  const hue = (sequence * 137.508) % 360;
  return dark ? `oklch(0.7 0.115 ${hue})` : `oklch(0.67 0.135 ${hue})`;
}

/** Calls for each run of equal blocks with the place it starts at. */
function forEachRun(visit) {
  let start = 0;
  for (const [kind, count, sequence, users] of state.blocks) {
    visit({ kind, count, sequence, users, start });
    start += count;
  }
}

function drawMap() {
  const map = byId("map");
  const width = map.parentElement.clientWidth - 32;
  if (!state || width <= 0) return;
  const total = Math.max(state.total_blocks, 1);
  const cell = Math.min(16, Math.max(5, Math.floor(Math.sqrt((width * 300) / total))));
  const columns = Math.max(1, Math.floor(width / cell));
  const rows = Math.ceil(total / columns);
  layout = { cell, columns };
  const scale = devicePixelRatio || 1;
  map.width = columns * cell * scale;
  map.height = rows * cell * scale;
  map.style.width = `${columns * cell}px`;
  map.style.height = `${rows * cell}px`;
  const context = map.getContext("2d");
  context.scale(scale, scale);
  const dark = isDark();
  const size = cell - (cell > 7 ? 2 : 1);
  const counts = [0, 0, 0];
  forEachRun(({ kind, count, sequence, users, start }) => {
    counts[kind] += count;
    for (let block = start; block < Math.min(start + count, total); block += 1) {
      const x = (block % columns) * cell;
      const y = Math.floor(block / columns) * cell;
      const stands = selected === null || (kind === USED && sequence === selected);
      context.globalAlpha = stands ? 1 : 0.25;
      if (kind === USED) {
        context.fillStyle = colour(sequence, dark);
        context.fillRect(x, y, size, size);
        if (users > 1) {
          context.fillStyle = dark ? "#0e1114" : "#ffffff";
          const dot = Math.max(2, Math.round(size / 2.6));
          context.fillRect(x + (size - dot) / 2, y + (size - dot) / 2, dot, dot);
        }
      } else {
        context.fillStyle = dark ? "#23282e" : "#edeff1";
        context.fillRect(x, y, size, size);
        if (kind === CACHED) hatch(context, x, y, size, dark);
      }
    }
  });
  if (cursor >= 0) {
    context.globalAlpha = 1;
    context.strokeStyle = dark ? "#ffffff" : "#000000";
    const [x, y] = [(cursor % columns) * cell, Math.floor(cursor / columns) * cell];
    context.strokeRect(x - 0.5, y - 0.5, size + 1, size + 1);
  }
  map.setAttribute("aria-label", t("mapLabel", { total: number(total), used: number(counts[USED]),
    cached: number(counts[CACHED]), free: number(counts[FREE]) }));
  byId("map-summary").textContent = t("mapSummary",
    { used: number(state.used_blocks), total: number(total), size: bytes(state.block_bytes) });
}

function hatch(context, x, y, size, dark) {
  context.save();
  context.beginPath();
  context.rect(x, y, size, size);
  context.clip();
  context.strokeStyle = dark ? "#505963" : "#b3bac2";
  context.lineWidth = 1;
  context.beginPath();
  for (let offset = -size; offset < size; offset += 3) {
    context.moveTo(x + offset, y + size);
    context.lineTo(x + offset + size, y);
  }
  context.stroke();
  context.restore();
}

/** Says what a block holds, and marks it. */
function readBlock(block) {
  const before = cursor;
  cursor = -1;
  let text = "";
  if (state && block >= 0) {
    forEachRun(({ kind, count, sequence, users, start }) => {
      if (block < start || block >= start + count) return;
      cursor = block;
      const key = kind === FREE ? "readFree" : kind === CACHED ? "readCached"
        : users > 1 ? "readShared" : "readUsed";
      text = t(key, { block: number(block), sequence, users });
    });
  }
  byId("map-reading").textContent = text;
  if (cursor !== before) drawMap();
}

function drawRunning() {
  byId("queue").textContent = t("queueLength", { count: number(state.waiting) });
  const dark = isDark();
  const rows = state.running.map((each) => {
    const dot = h("i", { class: "swatch" });
    dot.style.background = colour(each.sequence, dark);
    const done = each.computed_tokens >= each.prompt_tokens;
    const prompt = done ? number(each.prompt_tokens) : t("reading",
      { done: number(each.computed_tokens), all: number(each.prompt_tokens) });
    return h("tr", {
      onpointerenter: () => select(each.sequence), onpointerleave: () => select(null),
    },
    h("td", null, dot, ` ${each.sequence}`), h("td", null, prompt),
    h("td", null, number(each.generated_tokens)), h("td", null, number(each.blocks)),
    h("td", null, each.adapter ?? "–"));
  });
  byId("running").replaceChildren(...rows.length ? rows
    : [h("tr", null, h("td", { colspan: "5", class: "note" }, t("nobody")))]);
}

function select(sequence) {
  if (selected === sequence) return;
  selected = sequence;
  drawMap();
}

function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB"];
  const power = Math.min(Math.floor(Math.log2(Math.max(count, 1)) / 10), units.length - 1);
  return `${number(count / 1024 ** power, power ? 1 : 0)} ${units[power]}`;
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}
