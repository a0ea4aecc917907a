// Markdown as chat models write it, made into elements by name, so that no text becomes markup.

import { highlight } from "./highlight.js";

const MAX_DEPTH = 12; // of quotes and lists within each other; deeper ones stay text
const FENCE = /^ {0,3}(`{3,}|~{3,}) *([^`\s]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6}) +(.*)$/;
const RULE = /^ {0,3}(?:(?:- *){3,}|(?:\* *){3,}|(?:_ *){3,})$/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?: +|$)(.*)$/;
const DIVIDER = /^ *\|? *:?-+:? *(?:\| *:?-+:? *)*\|? *$/;

/**
 * Parses text to a tree: strings, and nodes `{ tag, children, … }`.
 *
 * Nodes of the outer level carry `source`, the lines they came from, so that a growing answer
 * renders anew only what changed.
 */
export function parse(text, depth = 0) {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  const nodes = [];
  for (let at = 0; at < lines.length;) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const [node, end] = block(lines, at, depth);
    node.source = lines.slice(at, end).join("\n");
    nodes.push(node);
    at = end;
  }
  return nodes;
}

/** The block that starts at a line, and the line after it. */
function block(lines, at, depth) {
  const line = lines[at];
  const fence = FENCE.exec(line);
  if (fence) return fenced(lines, at, fence);
  const heading = HEADING.exec(line);
  if (heading) {
    const title = heading[2].replace(/ +#+ *$/, "");
    return [{ tag: `h${Math.min(heading[1].length + 1, 6)}`, children: inline(title) }, at + 1];
  }
  if (RULE.test(line)) return [{ tag: "hr", children: [] }, at + 1];
  if (depth < MAX_DEPTH && /^ {0,3}>/.test(line)) {
    const end = until(lines, at, (next) => !/^ {0,3}>/.test(next));
    const inner = lines.slice(at, end).map((quoted) => quoted.replace(/^ {0,3}> ?/, ""));
    return [{ tag: "blockquote", children: parse(inner.join("\n"), depth + 1) }, end];
  }
  if (line.includes("|") && DIVIDER.test(lines[at + 1] ?? "") && lines[at + 1].includes("-")) {
    const head = cells(line);
    const aligns = cells(lines[at + 1]);
    if (head.length === aligns.length) return table(lines, at, head, aligns);
  }
  if (depth < MAX_DEPTH && ITEM.test(line)) return list(lines, at, depth);
  const end = until(lines, at, (next, index) => !next.trim() || startsBlock(lines, index, depth));
  const text = lines.slice(at, end).map((each) => each.trimStart()).join("\n");
  return [{ tag: "p", children: inline(text) }, end];
}

/** Whether a line ends the paragraph before it. */
function startsBlock(lines, at, depth) {
  const line = lines[at];
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line)
    || (depth < MAX_DEPTH && (/^ {0,3}>/.test(line) || /^ *(?:[-*+]|\d{1,3}[.)]) +\S/.test(line)));
}

/** The first line after `at` where `stops` holds. */
function until(lines, at, stops) {
  let end = at + 1;
  while (end < lines.length && !stops(lines[end], end)) end += 1;
  return end;
}

function fenced(lines, at, [, mark, language]) {
  const closing = new RegExp(`^ {0,3}${mark[0]}{${mark.length},} *$`);
  const end = until(lines, at, (next) => closing.test(next));
  const code = lines.slice(at + 1, end).join("\n");
  return [{ tag: "pre", code, language, children: [] }, Math.min(end + 1, lines.length)];
}

function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/(^|[^\\])\|$/, "$1");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

function table(lines, at, head, aligns) {
  const end = until(lines, at + 1, (next) => !next.includes("|"));
  const align = aligns.map((cell) =>
    cell.startsWith(":") && cell.endsWith(":") ? "center" : cell.endsWith(":") ? "right" : null);
  const row = (tag, texts) => ({
    tag: "tr",
    children: head.map((_, column) =>
      ({ tag, align: align[column], children: inline(texts[column] ?? "") })),
  });
  const body = lines.slice(at + 2, end).map((line) => row("td", cells(line)));
  const children = [
    { tag: "thead", children: [row("th", head)] }, { tag: "tbody", children: body },
  ];
  return [{ tag: "div", class: "table-scroll", children: [{ tag: "table", children }] }, end];
}

function list(lines, at, depth) {
  const first = ITEM.exec(lines[at]);
  const indent = first[1].length;
  const ordered = /\d/.test(first[2]);
  const items = [];
  let end = at;
  while (end < lines.length) {
    const item = ITEM.exec(lines[end]);
    const own = item && item[1].length < indent + 2 && /\d/.test(item[2]) === ordered
      && item[1].length >= indent && !RULE.test(lines[end]);
    if (own) {
      items.push([item[3]]);
    } else if (!lines[end].trim()) {
      const next = lines[end + 1] ?? "";
      const goes = ITEM.test(next) ? ITEM.exec(next)[1].length >= indent : /^ {2}/.test(next);
      if (!next.trim() || !goes) break;
      items.at(-1).push("");
    } else if (lines[end].startsWith(" ".repeat(indent + 2))) {
      items.at(-1).push(lines[end]);
    } else if (startsBlock(lines, end, depth) || items.at(-1).at(-1) === "") {
      break;
    } else {
      items.at(-1).push(lines[end]);
    }
    end += 1;
  }
  const children = items.map((item) => {
    const inner = parse([item[0], ...dedented(item.slice(1))].join("\n"), depth + 1);
    // An item of one paragraph reads better without the paragraph's margins.
    if (inner[0]?.tag === "p") inner.splice(0, 1, ...inner[0].children);
    return { tag: "li", children: inner };
  });
  const node = { tag: ordered ? "ol" : "ul", children };
  if (ordered) node.start = Number.parseInt(first[2], 10);
  return [node, end];
}

function dedented(lines) {
  const widths = lines.filter((line) => line.trim()).map((line) => line.search(/\S/));
  const width = Math.min(...widths, 8);
  return lines.map((line) => line.slice(Math.min(width, Math.max(line.search(/\S/), 0))));
}

const MARKS = [["**", "strong"], ["__", "strong"], ["~~", "del"], ["*", "em"], ["_", "em"]];
const ADDRESS = /https?:\/\/[^\s<>"'`，。；：！？、）】》”’]+/y;
const LINK = new RegExp([
  String.raw`!?\[((?:[^[\]\\]|\\.){0,500})\]`, // label
  String.raw`\(\s*<?([^\s()<>]{1,2000}(?:\([^\s()<>]*\))?)>?`, // address, perhaps with (…) in it
  String.raw`(?:\s+["'(][^\n]{0,200}?["')])?\s*\)`, // title, which is not shown
].join(""), "y");
const WORD = /[\p{L}\p{N}]/u;

/** Parses what stands inside a paragraph. Linear in time but for the bounded depth. */
export function inline(text, depth = 0) {
  const nodes = [];
  const hopeless = new Set(); // marks that nothing closes from here on
  let plain = "";
  let at = 0;
  const add = (node, end) => {
    if (plain) nodes.push(plain);
    plain = "";
    nodes.push(node);
    at = end;
  };
  const match = (expression) => {
    expression.lastIndex = at;
    return expression.exec(text);
  };
  while (at < text.length) {
    const char = text[at];
    if (char === "\\" && /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "")) {
      plain += text[at + 1];
      at += 2;
    } else if (char === "\n") {
      plain = plain.trimEnd();
      add({ tag: "br", children: [] }, at + 1);
    } else if (char === "<" && match(/<br ?\/?>/iy)) {
      add({ tag: "br", children: [] }, text.indexOf(">", at) + 1);
    } else if (char === "`") {
      const ticks = match(/`+/y)[0];
      const end = hopeless.has(ticks) ? -1 : closingTicks(text, ticks, at + ticks.length);
      if (end < 0) {
        hopeless.add(ticks);
        plain += ticks;
        at += ticks.length;
      } else {
        const code = text.slice(at + ticks.length, end).replaceAll("\n", " ");
        add({ tag: "code", children: [code.replace(/^ (.*\S.*) $/, "$1")] }, end + ticks.length);
      }
    } else if ((char === "[" || char === "!") && match(LINK)) {
      const [whole, label, address] = match(LINK);
      const children = depth < MAX_DEPTH ? inline(label || address, depth + 1) : [label];
      add(link(address, children), at + whole.length);
    } else if (char === "h" && !WORD.test(text[at - 1] ?? "") && match(ADDRESS)) {
      const address = match(ADDRESS)[0].replace(/[.,;:!?)\]*_~]+$/, "");
      add(link(address, [address]), at + address.length);
    } else {
      const found = depth < MAX_DEPTH && emphasis(text, at, hopeless);
      if (found) {
        const { tag, from, to, end } = found;
        add({ tag, children: inline(text.slice(from, to), depth + 1) }, end);
      } else {
        plain += char;
        at += 1;
      }
    }
  }
  if (plain) nodes.push(plain);
  return nodes;
}

function closingTicks(text, ticks, from) {
  for (let end = text.indexOf(ticks, from); end >= 0;) {
    let after = end + ticks.length;
    if (text[after] !== "`") return end;
    while (text[after] === "`") after += 1;
    end = text.indexOf(ticks, after);
  }
  return -1;
}

/** The emphasis that opens here, if it also closes. */
function emphasis(text, at, hopeless) {
  const found = MARKS.find(([mark]) => text.startsWith(mark, at));
  if (!found || hopeless.has(found[0])) return null;
  const [mark, tag] = found;
  const from = at + mark.length;
  if (/\s/.test(text[from] ?? " ")) return null;
  // Underscores inside a word, as in snake_case, are letters.
  if (mark[0] === "_" && WORD.test(text[at - 1] ?? "")) return null;
  for (let to = text.indexOf(mark, from + 1); to >= 0; to = text.indexOf(mark, to + 1)) {
    const after = text[to + mark.length] ?? "";
    const closes = !/\s/.test(text[to - 1]) && text[to - 1] !== "\\"
      && !(mark.length === 1 && (after === mark || text[to - 1] === mark))
      && !(mark[0] === "_" && WORD.test(after));
    if (closes) return { tag, from, to, end: to + mark.length };
  }
  hopeless.add(mark);
  return null;
}

/** A link, if the address is one that a browser may be sent to; otherwise its text. */
function link(address, children) {
  if (!/^(https?:\/\/|mailto:)/i.test(address)) return { tag: "span", children };
  return { tag: "a", href: address, children };
}

/** Makes the elements of a parsed node. */
export function build(node, copy) {
  if (typeof node === "string") return document.createTextNode(node);
  const element = document.createElement(node.tag);
  if (node.tag === "pre") {
    buildCode(element, node, copy);
    return element;
  }
  if (node.class) element.className = node.class;
  if (node.align) element.className = `align-${node.align}`;
  if (node.start > 1) element.setAttribute("start", String(node.start));
  if (node.href) {
    element.setAttribute("href", node.href);
    element.setAttribute("rel", "noopener noreferrer nofollow");
    element.setAttribute("target", "_blank");
  }
  for (const child of node.children) element.append(build(child, copy));
  return element;
}

function buildCode(element, node, copy) {
  const bar = document.createElement("div");
  bar.className = "code-bar";
  const name = document.createElement("span");
  name.textContent = node.language;
  bar.append(name);
  if (copy) bar.append(copy(node.code));
  const code = document.createElement("code");
  for (const [kind, text] of highlight(node.code, node.language)) {
    if (kind === null) {
      code.append(document.createTextNode(text));
      continue;
    }
    const span = document.createElement("span");
    span.className = `hl-${kind}`;
    span.textContent = text;
    code.append(span);
  }
  element.append(bar, code);
}

const shown = new WeakMap();

/** Shows text in an element, touching only the blocks that differ from what it shows already. */
export function show(element, text, copy) {
  const old = shown.get(element) ?? [];
  const nodes = parse(text);
  const sources = nodes.map((node) => node.source);
  let same = 0;
  while (same < old.length && old[same] === sources[same]) same += 1;
  while (element.childNodes.length > same) element.lastChild.remove();
  for (const node of nodes.slice(same)) element.append(build(node, copy));
  shown.set(element, sources);
}
