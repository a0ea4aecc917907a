// swift-format-ignore-file
// Written by Tools/embed_web.py from the files of the folder Web; change those.

/// A file of the page.
struct WebAsset: Sendable {
    let name: String
    let type: String
    let entityTag: String
    let text: String
}

/// The page's files, in the order of their names.
enum WebAssets {
    static let all: [WebAsset] = [
        WebAsset(
            name: "api.js", type: "text/javascript; charset=utf-8", entityTag: "\"e5d529f49e90e8f9\"",
            text: #"""
// Requests to the server this page came from.

import { EventParser } from "./stream.js";

/** What the server refused or could not do; `status` 0 means that it was not reached. */
export class ServerError extends Error {
  constructor(status, message, retryAfter = null) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

export const apiKey = {
  get: () => sessionStorage.getItem("yuyan.key") ?? "",
  set: (key) => sessionStorage.setItem("yuyan.key", key.trim()),
};

/** Sends a request (POST if there is a body) and returns the response, or throws a ServerError. */
async function send(path, { body, signal } = {}) {
  const headers = {};
  if (apiKey.get()) headers.Authorization = `Bearer ${apiKey.get()}`;
  if (body) headers["Content-Type"] = "application/json";
  const options = { method: body ? "POST" : "GET", headers, signal, cache: "no-store" };
  let response;
  try {
    response = await fetch(path, body ? { ...options, body: JSON.stringify(body) } : options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new ServerError(0, error.message);
  }
  if (response.ok) return response;
  const seconds = Number.parseFloat(response.headers.get("Retry-After") ?? "");
  const text = await response.text();
  throw new ServerError(response.status, messageIn(text) || response.statusText,
    Number.isFinite(seconds) ? seconds : null);
}

/** The message of an error body in OpenAI's shape, or the body's beginning. */
function messageIn(text) {
  try {
    const { error, message } = JSON.parse(text);
    return String(error?.message ?? error ?? message ?? "");
  } catch {
    return text.slice(0, 300);
  }
}

export const getJSON = async (path, options) => (await send(path, options)).json();
export const post = async (path, body) => (await send(path, { body })).text();

/**
 * Streams a chat completion; `onChunk` gets each decoded chunk.
 *
 * While the server answers 503 (the model is loading) it waits, tells `onWait`, and tries again.
 */
export async function streamChat(body, { signal, onChunk, onWait }) {
  const ask = () => send("v1/chat/completions", { body, signal });
  const response = await patiently(ask, signal, onWait);
  const parser = new EventParser();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read().catch((error) => {
      throw error.name === "AbortError" ? error : new ServerError(0, error.message);
    });
    if (done) return;
    for (const data of parser.push(value)) {
      if (data === "[DONE]") continue;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ServerError(chunk.error.code ?? 500, String(chunk.error.message));
      onChunk(chunk);
    }
  }
}

/** Calls until the answer is something else than 503. */
export async function patiently(call, signal, onWait) {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (error.status !== 503) throw error;
      onWait?.(error);
      await pause((error.retryAfter ?? 2) * 1000, signal);
    }
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, Math.min(milliseconds, 30_000));
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    }, { once: true });
  });
}

"""#),
        WebAsset(
            name: "app.css", type: "text/css; charset=utf-8", entityTag: "\"c0753cfb659455c7\"",
            text: #"""
/* Yuyan's page. Colours first: each once for light and once for dark. */

:root {
  color-scheme: light dark;
  --ground: light-dark(#fcfcfb, #14171a);
  --side: light-dark(#f3f4f3, #101316);
  --raised: light-dark(#ffffff, #1b1f23);
  --sunken: light-dark(#f2f4f5, #20252a);
  --line: light-dark(#e2e5e7, #2b3137);
  --ink: light-dark(#1d2329, #e4e8eb);
  --soft: light-dark(#5f6a74, #98a3ad);
  --accent: light-dark(#2f6b9c, #7db3dd);
  --accent-ink: light-dark(#ffffff, #0d1a24);
  --accent-wash: light-dark(#e6eff6, #1d2d3a);
  --warn: light-dark(#a13d2d, #f0a08f);
  --warn-wash: light-dark(#fbeeeb, #33201c);
  --shadow: 0 1px 2px light-dark(#1d23290f, #0000004d), 0 6px 24px light-dark(#1d23290f, #00000040);
  --sans: system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC", sans-serif;
  --mono: ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, "Liberation Mono",
    "DejaVu Sans Mono",
    "Noto Sans Mono CJK SC", monospace;
  --radius: 14px;
  --left: env(safe-area-inset-left, 0px);
  --right: env(safe-area-inset-right, 0px);
  --bottom: env(safe-area-inset-bottom, 0px);
}
:root[data-theme="light"] { color-scheme: light; }
:root[data-theme="dark"] { color-scheme: dark; }

* { box-sizing: border-box; }
[hidden] { display: none !important; }
html, body { height: 100%; margin: 0; }
body { display: grid; grid-template-columns: 264px minmax(0, 1fr); height: 100dvh; overflow: hidden;
  background: var(--ground); color: var(--ink); font: 15.5px/1.65 var(--sans);
  -webkit-font-smoothing: antialiased; text-size-adjust: 100%; -webkit-text-size-adjust: 100%; }
button, input, select, textarea { font: inherit; color: inherit; }
button { cursor: pointer; background: none; border: 0; padding: 0; }
button:disabled { cursor: default; opacity: .55; }
svg { width: 20px; height: 20px; flex: none; fill: none; stroke: currentColor; stroke-width: 1.6;
  stroke-linecap: round; stroke-linejoin: round; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
h1, h2, h3 { line-height: 1.3; font-weight: 620; letter-spacing: -.01em; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
.skip { position: fixed; left: 12px; top: -60px; z-index: 20; padding: 8px 14px; border-radius: 8px;
  background: var(--accent); color: var(--accent-ink); }
.skip:focus { top: 12px; }
.note { color: var(--soft); font-size: 13.5px; margin: 0; }
.row { display: flex; gap: 8px; justify-content: flex-end; align-items: center; }

/* Buttons */
.icon { display: inline-grid; place-items: center; width: 36px; height: 36px; border-radius: 10px;
  color: var(--soft); flex: none; }
.icon[aria-pressed="true"] { color: var(--accent); background: var(--accent-wash); }
.quiet { display: inline-flex; align-items: center; gap: 8px; min-height: 36px; padding: 4px 12px;
  border-radius: 10px; color: var(--soft); font-size: 14px; }
.primary { min-height: 36px; padding: 4px 16px; border-radius: 10px; background: var(--accent);
  color: var(--accent-ink); font-size: 14px; font-weight: 560; }
.primary:hover { filter: brightness(1.08); }
.danger { color: var(--warn); }
.sure, .icon.sure:hover { background: var(--warn-wash); color: var(--warn); opacity: 1; }

/* Sidebar */
#sidebar { display: flex; flex-direction: column; gap: 10px; min-height: 0; background: var(--side);
  border-right: 1px solid var(--line);
  padding: 14px 12px calc(10px + var(--bottom)) calc(12px + var(--left)); }
.brand { display: flex; align-items: center; gap: 10px; padding: 2px 6px 4px; font-weight: 640;
  font-size: 17px; letter-spacing: -.01em; }
.brand b { font-weight: 400; color: var(--soft); margin-left: 3px; font-size: 15px;
  letter-spacing: .04em; }
.brand .mark { width: 28px; height: 28px; color: var(--accent); }
.brand .icon { margin-left: auto; }
.wide-button { display: flex; align-items: center; gap: 9px; min-height: 40px; padding: 6px 12px;
  border: 1px solid var(--line); border-radius: 11px; background: var(--raised); font-size: 14.5px;
  font-weight: 540; }
#conversations { flex: 1; overflow-y: auto; min-height: 0; margin: 2px -4px; padding: 2px 4px; }
.conversation { display: flex; align-items: center; border-radius: 10px; margin-bottom: 2px; }
.conversation:hover, .conversation[aria-current] { background: light-dark(#e7e9ea, #1d2226); }
.conversation .title { flex: 1; min-width: 0; padding: 7px 4px 7px 12px; text-align: left;
  font-size: 14px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis;
  border-radius: 10px; }
.conversation .icon { width: 32px; height: 32px; opacity: 0; }
.conversation .icon svg { width: 16px; height: 16px; }
.conversation:hover .icon, .conversation .icon:focus-visible, .conversation[aria-current] .icon {
  opacity: 1; }
.live { display: inline-block; width: 7px; height: 7px; margin-right: 8px; border-radius: 50%;
  background: var(--accent); animation: breathe 1.2s ease-in-out infinite; }
.sidebar-foot { display: flex; justify-content: space-between; border-top: 1px solid var(--line);
  padding-top: 8px; }
.sidebar-foot .quiet { padding: 4px 10px; font-size: 13.5px; }
.sidebar-foot svg { width: 18px; height: 18px; }

/* Page and header */
#page { display: flex; flex-direction: column; min-width: 0; min-height: 0; }
header { display: flex; align-items: center; gap: 8px;
  padding: 10px calc(14px + var(--right)) 10px 16px; min-height: 57px; }
.model-picker { min-width: 0; flex: 0 1 auto; }
#model { appearance: none; max-width: 100%; min-height: 36px; padding: 4px 32px 4px 12px;
  border-radius: 10px; border: 1px solid transparent; font-weight: 560; font-size: 15px;
  text-overflow: ellipsis; cursor: pointer;
  background: no-repeat calc(100% - 17px) 55% / 5px 5px
    linear-gradient(45deg, transparent 50%, var(--soft) 50%),
    no-repeat calc(100% - 12px) 55% / 5px 5px
    linear-gradient(-45deg, transparent 50%, var(--soft) 50%); }
#model option, #model optgroup { background: var(--raised); color: var(--ink); }
#views { display: flex; margin-left: auto; padding: 3px; gap: 2px; border-radius: 12px;
  background: var(--sunken); }
#views button { display: flex; align-items: center; gap: 7px; min-height: 32px; padding: 3px 12px;
  border-radius: 9px; color: var(--soft); font-size: 14px; }
#views svg { width: 17px; height: 17px; }
#views button:hover { color: var(--ink); }
#views button[aria-pressed="true"] { background: light-dark(#ffffff, #333b42); color: var(--ink);
  box-shadow: 0 1px 2px light-dark(#1d232922, #00000066); }
#banner { display: flex; align-items: center; justify-content: space-between; gap: 12px;
  margin: 0 16px 8px; padding: 8px 14px; border-radius: 11px; background: var(--warn-wash);
  color: var(--warn); font-size: 14px; }
#banner .quiet, .problem-box .quiet { color: inherit; border: 1px solid currentColor; }
#panes { flex: 1; display: grid; min-height: 0; grid-template-columns: minmax(0, 1fr); }
[data-view="split"] #panes { grid-template-columns: minmax(0, 1fr) minmax(0, 460px); }
[data-view="split"] #engine { border-left: 1px solid var(--line); }
[data-view="chat"] #engine, [data-view="engine"] #chat { display: none; }

/* Conversation */
#chat { position: relative; display: flex; flex-direction: column; min-height: 0; }
#scroller { flex: 1; overflow-y: auto; overflow-x: hidden; padding: 8px 20px 28px; min-height: 0;
  overscroll-behavior: contain; mask-image: linear-gradient(transparent, #000 14px); }
#thread { max-width: 760px; margin: 0 auto; display: flex; flex-direction: column; gap: 22px; }
#welcome { max-width: 560px; margin: 0 auto; min-height: 92%; display: flex; flex-direction: column;
  align-items: center; justify-content: center; text-align: center; }
#welcome .mark { width: 64px; height: 64px; color: var(--accent); }
#welcome h1 { margin: 14px 0 4px; font-size: 27px; }
#welcome p { margin: 0 0 26px; color: var(--soft); }
#suggestions { display: grid; gap: 8px; width: 100%; }
#suggestions button { padding: 11px 16px; border: 1px solid var(--line); border-radius: 12px;
  text-align: left; color: var(--soft); font-size: 14.5px; background: var(--raised); }
.message { display: flex; flex-direction: column; min-width: 0; animation: arrive .25s ease-out; }
.message.user, .message.tool { align-items: flex-end; }
.bubble { max-width: min(88%, 620px); padding: 9px 16px; border-radius: 18px 18px 5px 18px;
  background: var(--accent-wash); white-space: pre-wrap; overflow-wrap: anywhere; }
.message.tool .bubble { font: 13px/1.55 var(--mono); background: var(--sunken); }
.byline { display: flex; align-items: center; gap: 7px; margin-bottom: 4px; color: var(--soft);
  font-size: 13.5px; font-weight: 560; }
.byline svg { width: 19px; height: 19px; color: var(--accent); }
.actions { display: flex; gap: 1px; margin: 3px 0 0 -8px; opacity: .75; }
.message.user .actions, .message.tool .actions { margin: 3px 0 0; opacity: 0; }
.message:hover .actions, .actions:focus-within, .message:last-child .actions { opacity: 1; }
.actions .icon { width: 32px; height: 32px; }
.actions svg { width: 17px; height: 17px; }
.usage { margin: 8px 0 0; color: var(--soft); font-size: 12.5px; font-variant-numeric: tabular-nums;
}
.usage:empty { display: none; }
.edit-form { width: min(100%, 620px); padding: 12px; border-radius: var(--radius);
  background: var(--sunken); }
.edit-form textarea, .call textarea { width: 100%; border: 0; background: none; resize: vertical;
  outline-offset: 4px; }
.waiting { display: flex; align-items: center; gap: 5px; margin: 6px 0; color: var(--soft);
  font-size: 14px; }
.waiting i { width: 6px; height: 6px; border-radius: 50%; background: var(--accent);
  animation: breathe 1.2s ease-in-out infinite; }
.waiting i:nth-child(2) { animation-delay: .2s; }
.waiting i:nth-child(3) { animation-delay: .4s; }
.waiting span { margin-left: 6px; }
.problem-box { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between;
  gap: 8px 16px; margin-top: 8px; padding: 12px 14px; border-radius: 12px;
  background: var(--warn-wash); color: var(--warn); font-size: 14px; }
.problem-box p { margin: 0; overflow-wrap: anywhere; }
.problem { color: var(--warn); font-size: 13.5px; margin: 4px 0 0; }
.reasoning { margin: 2px 0 10px; }
.reasoning summary, .call-head { display: flex; align-items: center; gap: 6px; color: var(--soft);
  font-size: 14px; cursor: pointer; list-style: none; width: fit-content; border-radius: 8px; }
.reasoning summary::-webkit-details-marker { display: none; }
.reasoning summary svg { width: 15px; height: 15px; transition: transform .15s; }
.reasoning[open] summary svg { transform: rotate(90deg); }
.reasoning .markdown { margin: 6px 0 0 6px; padding-left: 14px; border-left: 2px solid var(--line);
  color: var(--soft); font-size: 14.5px; }
.call { margin: 4px 0 8px; padding: 10px 14px; border: 1px solid var(--line); border-radius: 12px;
  background: var(--raised); }
.call-head { cursor: default; }
.call-head b { color: var(--ink); font: 560 13.5px var(--mono); }
.call pre { margin: 6px 0 0; font: 13px/1.55 var(--mono); white-space: pre-wrap;
  overflow-wrap: anywhere; }
.call textarea { margin-top: 8px; padding: 8px 10px; border-radius: 8px; background: var(--sunken);
  font: 13px/1.5 var(--mono); }
#latest { position: absolute; left: 50%; bottom: calc(100% + 12px); margin-left: -18px;
  border-radius: 50%; z-index: 2; background: var(--raised); border: 1px solid var(--line);
  box-shadow: var(--shadow); }

/* Markdown */
.markdown { min-width: 0; overflow-wrap: anywhere; }
.markdown > :first-child { margin-top: 0; }
.markdown > :last-child { margin-bottom: 0; }
.markdown p, .markdown ul, .markdown ol, .markdown pre, .markdown blockquote { margin: 0 0 12px; }
.markdown h2, .markdown h3, .markdown h4, .markdown h5, .markdown h6 { margin: 22px 0 8px;
  font-size: 1.05em; }
.markdown h2 { font-size: 1.3em; }
.markdown h3 { font-size: 1.16em; }
.markdown ul, .markdown ol { padding-left: 1.6em; }
.markdown li { margin: 3px 0; }
.markdown li > ul, .markdown li > ol { margin: 3px 0; }
.markdown li::marker { color: var(--soft); }
.markdown a { color: var(--accent); text-underline-offset: 3px; text-decoration-thickness: 1px; }
.markdown code { font: .87em var(--mono); padding: 2px 5px; border-radius: 5px;
  background: var(--sunken); }
.markdown pre { border: 1px solid var(--line); border-radius: 12px; background: var(--raised);
  overflow: hidden; }
.markdown pre code { display: block; padding: 10px 14px 13px; font-size: 13.5px; line-height: 1.6;
  background: none; overflow-x: auto; white-space: pre; overflow-wrap: normal; tab-size: 4; }
.code-bar { display: flex; align-items: center; justify-content: space-between; min-height: 34px;
  padding: 0 4px 0 14px; background: var(--sunken); color: var(--soft); font: 12.5px var(--mono); }
.code-bar .icon { width: 32px; height: 32px; }
.code-bar svg { width: 16px; height: 16px; }
.markdown blockquote { padding-left: 14px; border-left: 3px solid var(--line); color: var(--soft); }
.markdown blockquote > :last-child { margin-bottom: 0; }
.markdown hr { border: 0; border-top: 1px solid var(--line); margin: 20px 0; }
.markdown .table-scroll { margin-bottom: 12px; }
.table-scroll { overflow-x: auto; overflow-wrap: normal; }
table { border-collapse: collapse; font-size: .94em; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 12px; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { font-weight: 600; color: var(--soft); font-size: .92em; white-space: nowrap; }
.align-right { text-align: right; }
.align-center { text-align: center; }
.streaming .markdown > p:last-child::after,
.streaming .markdown > :is(ul, ol):last-child > li:last-child:not(:has(ul, ol, pre))::after,
.streaming .tokens::after { content: ""; display: inline-block; width: 8px; height: 1em;
  margin-left: 3px; vertical-align: -.15em; border-radius: 2px; background: var(--accent);
  animation: breathe 1s ease-in-out infinite; }
.streaming .reasoning .markdown > p:last-child::after { display: none; }
.hl-comment { color: var(--soft); font-style: italic; }
.hl-string { color: light-dark(#2c7442, #8fcf9f); }
.hl-number { color: light-dark(#9a5b13, #e2b077); }
.hl-word { color: light-dark(#8a3a8f, #d3a0dc); }
.hl-name { color: light-dark(#2f6b9c, #7db3dd); }

/* Tokens: green where the model was sure, through amber to red where it was not */
.tokens { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.9; }
.token { --hue: calc(8 + 132 * var(--chance)); cursor: pointer; padding: 2px 0; border-radius: 4px;
  background: hsl(var(--hue) 75% 50% / calc(.14 + .3 * (1 - var(--chance))));
  box-shadow: inset -1px 0 0 var(--ground); }
.token.open, .token:focus-visible { outline: 2px solid var(--accent); outline-offset: 0; }
.scale { display: flex; align-items: center; gap: 8px; margin-top: 10px; color: var(--soft);
  font-size: 12px; }
.scale i { width: 110px; height: 8px; border-radius: 4px;
  background: linear-gradient(90deg, hsl(8 75% 50% / .44), hsl(74 75% 50% / .29),
    hsl(140 75% 50% / .14));
}
#popover { position: fixed; z-index: 10; left: 0; top: 0; width: max-content; min-width: 190px;
  max-width: min(320px, calc(100vw - 16px)); padding: 8px; border: 1px solid var(--line);
  border-radius: 12px; background: var(--raised); box-shadow: var(--shadow); font-size: 13px;
  pointer-events: none; }
.alternative { position: relative; display: flex; justify-content: space-between; gap: 20px;
  padding: 3px 8px; border-radius: 6px; overflow: hidden; }
.alternative span { font-family: var(--mono); overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; }
.alternative b { font-weight: 500; color: var(--soft); font-variant-numeric: tabular-nums; }
.alternative i { position: absolute; left: 0; top: 0; bottom: 0; z-index: -1;
  background: var(--sunken); border-radius: 6px; }
.alternative.chosen i { background: var(--accent-wash); }
.alternative.chosen span, .alternative.chosen b { color: var(--accent); font-weight: 640; }
.alternative.rest span { font-family: inherit; color: var(--soft); }

/* Composer */
#composer { position: relative; width: calc(100% - 40px); max-width: 780px;
  margin: 0 auto calc(16px + var(--bottom)); padding: 12px 12px 10px 18px;
  border: 1px solid var(--line); border-radius: 22px; background: var(--raised);
  box-shadow: var(--shadow); }
#composer:focus-within { border-color: light-dark(#a9c2d6, #3f5a70); }
#input { display: block; width: 100%; max-height: 40dvh; padding: 2px 6px 6px 0; border: 0;
  outline: 0; resize: none; background: none; line-height: 1.55; font-size: 16px; }
#input::placeholder, .field ::placeholder { color: var(--soft); opacity: .8; }
.composer-row { display: flex; align-items: center; gap: 12px; }
.chip { display: inline-flex; align-items: center; gap: 7px; min-height: 34px; margin-left: -8px;
  padding: 3px 13px 3px 10px; border-radius: 17px; border: 1px solid var(--line);
  color: var(--soft); font-size: 13.5px; }
.chip svg { width: 17px; height: 17px; }
.chip:hover { color: var(--ink); }
.chip[aria-pressed="true"] { background: var(--accent-wash); border-color: transparent;
  color: var(--accent); }
#hint { flex: 1; text-align: right; color: var(--soft); font-size: 12.5px; }
.send { display: grid; place-items: center; width: 38px; height: 38px; border-radius: 50%;
  background: var(--accent); color: var(--accent-ink); }
.send:hover { filter: brightness(1.08); }
.send svg { stroke-width: 2; }
#composer:has(#input:placeholder-shown) #send { background: var(--sunken); color: var(--soft);
  filter: none; }

/* Engine */
#engine { overflow-y: auto; padding: 6px 20px calc(24px + var(--bottom));
  container-type: inline-size; }
#engine > * { max-width: 1060px; margin: 0 auto 14px; }
#engine-note { padding: 8px 14px; border-radius: 11px; background: var(--warn-wash);
  color: var(--warn); }
#tiles { display: grid; grid-template-columns: repeat(10, minmax(0, 1fr)); gap: 12px; }
.card, .tile { border: 1px solid var(--line); border-radius: var(--radius);
  background: var(--raised); }
.card { padding: 14px 16px 16px; }
.card h2 { display: flex; justify-content: space-between; align-items: baseline; gap: 12px;
  flex-wrap: wrap; margin: 0 0 12px; font-size: 15px; }
.card h2 small { font-weight: 400; color: var(--soft); font-size: 13px;
  font-variant-numeric: tabular-nums; }
.tile { position: relative; grid-column: span 2; display: flex; flex-direction: column;
  min-width: 0; padding: 12px 16px 14px; overflow: hidden; }
.tile-name { color: var(--soft); font-size: 13px; }
.tile b { font-size: 25px; line-height: 1.35; font-weight: 600; letter-spacing: -.02em;
  font-variant-numeric: tabular-nums; }
.tile small { color: var(--soft); font-size: 12.5px; font-variant-numeric: tabular-nums; }
.tile.wide { grid-column: span 5; padding-bottom: 54px; }
.sparkline { position: absolute; left: 0; right: 0; bottom: 0; width: 100%; height: 46px; }
.sparkline polygon { fill: var(--accent); opacity: .12; stroke: none; }
.sparkline polyline { stroke: var(--accent); stroke-width: 1.75; vector-effect: non-scaling-stroke;
}
.meter { height: 4px; margin-top: 9px; border-radius: 2px; background: var(--sunken);
  overflow: hidden; }
.meter i { display: block; height: 100%; border-radius: 2px; background: var(--accent);
  transition: width .4s; }
#map { display: block; max-width: 100%; touch-action: pan-y; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin-top: 12px; color: var(--soft);
  font-size: 13px; }
.legend > span { display: inline-flex; align-items: center; gap: 7px; }
.legend output { margin-left: auto; min-height: 1.65em; color: var(--ink);
  font-variant-numeric: tabular-nums; }
.swatch { display: inline-block; width: 12px; height: 12px; border-radius: 2px;
  vertical-align: -1px; background: light-dark(#edeff1, #23282e); }
.swatch.used { background: linear-gradient(90deg, oklch(.68 .12 250) 50%, oklch(.68 .12 150) 50%); }
.swatch.shared { background: var(--raised) content-box; padding: 4px; border: 0;
  box-shadow: inset 0 0 0 4px oklch(.68 .12 250); }
.swatch.cached {
  background: repeating-linear-gradient(135deg, light-dark(#b3bac2, #505963) 0 1px,
    light-dark(#edeff1, #23282e) 1px 3px);
}
#engine table { width: 100%; }
#engine tbody tr:hover { background: var(--sunken); }
#engine tbody tr:last-child td { border-bottom: 0; }
#engine th:first-child, #engine td:first-child { padding-left: 4px; }
#running td:first-child { white-space: nowrap; }
#totals { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin: 0; }
#totals dt { color: var(--soft); font-size: 13px; }
#totals dd { margin: 0; font-weight: 560; font-variant-numeric: tabular-nums; }
@container (max-width: 700px) {
  #tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 10px; }
  .tile, .tile.wide { grid-column: span 1; }
  .tile:last-child { grid-column: span 2; }
  .tile { padding: 11px 14px 12px; }
  .tile b { font-size: 22px; }
  .tile.wide { padding-bottom: 48px; }
}

/* Settings sheet */
dialog { width: min(440px, 100vw); max-width: none; height: 100dvh; max-height: none;
  margin: 0 0 0 auto; padding: 0; border: 0; border-left: 1px solid var(--line);
  background: var(--ground); color: var(--ink); box-shadow: var(--shadow); overflow: hidden; }
dialog[open] { display: flex; flex-direction: column; animation: slide .2s ease-out; }
dialog::backdrop { background: #0d131966; }
.sheet-head { display: flex; align-items: center; justify-content: space-between;
  padding: 12px 14px 10px 22px; border-bottom: 1px solid var(--line); }
.sheet-head h2 { margin: 0; font-size: 17px; }
.sheet-body { flex: 1; overflow-y: auto;
  padding: 0 calc(22px + var(--right)) calc(20px + var(--bottom)) 22px; }
.sheet-body section { padding: 16px 0; border-bottom: 1px solid var(--line); }
.sheet-body section:last-child { border: 0; }
.sheet-body h3 { margin: 0 0 2px; font-size: 15px; }
.field { display: block; margin-top: 10px; }
.field > span { display: block; margin-bottom: 3px; font-size: 13.5px; color: var(--soft); }
section > .field:first-child { margin-top: 0; }
section > .field:first-child > span { color: var(--ink); font-weight: 620; font-size: 15px; }
.field input, .field textarea { width: 100%; min-height: 40px; padding: 7px 12px;
  border: 1px solid var(--line); border-radius: 10px; background: var(--raised); resize: vertical;
  font-size: 15px; }
.field .code { font: 13px/1.55 var(--mono); }
#sampling { display: grid; grid-template-columns: 1fr 1fr; column-gap: 14px; }
#reset { margin: 8px 0 0 -12px; }
#adapters { list-style: none; margin: 8px 0 4px; padding: 0; }
#adapters li { display: flex; align-items: center; justify-content: space-between; gap: 10px;
  padding: 4px 0; }
#adapters li > span { display: flex; flex-direction: column; min-width: 0; line-height: 1.4; }
#adapters b { font-weight: 560; font-size: 14.5px; }
#adapters small { color: var(--soft); overflow-wrap: anywhere; }
#adapter-form { display: grid; grid-template-columns: 1fr 1fr; gap: 0 14px; }
#adapter-form .primary { margin-top: 12px; justify-self: start; }
#adapter-result { margin-top: 8px; }
#delete-all { margin-left: -12px; }

/* Widths and devices */
.narrow-only { display: none; }
#shade { display: none; }
@media (max-width: 1099px) {
  .roomy-only { display: none !important; }
}
@media (max-width: 760px) {
  body { grid-template-columns: minmax(0, 1fr); }
  .narrow-only { display: inline-grid; }
  #sidebar { position: fixed; inset: 0 auto 0 0; z-index: 6; width: min(300px, 84vw);
    visibility: hidden; transform: translateX(-100%);
    transition: transform .2s ease-out, visibility .2s; box-shadow: var(--shadow); }
  .sidebar-open #sidebar { transform: none; visibility: visible; }
  #shade { display: block; position: fixed; inset: 0; z-index: 5; background: #0d131966; }
  header { gap: 4px; padding: 8px calc(8px + var(--right)) 8px calc(8px + var(--left)); }
  .icon { width: 42px; height: 42px; }
  .model-picker { flex: 1; }
  #model { padding-left: 8px; min-height: 42px; }
  #views button { min-height: 36px; padding: 3px 11px; }
  #views button span { position: absolute; width: 1px; height: 1px; overflow: hidden;
    clip-path: inset(50%); }
  #scroller { padding: 6px 16px 22px; }
  #composer { position: relative; width: calc(100% - 20px);
    margin-bottom: calc(10px + var(--bottom)); }
  #hint { visibility: hidden; }
  .send { width: 42px; height: 42px; }
  .chip { min-height: 38px; }
  .actions .icon, .conversation .icon { width: 40px; height: 40px; }
  .code-bar .icon { width: 40px; height: 36px; }
  #engine { padding: 4px 12px calc(20px + var(--bottom)); }
  .conversation .title { padding-block: 10px; }
  .primary, .quiet { min-height: 42px; }
  dialog { border: 0; }
  #welcome h1 { font-size: 24px; }
  .bubble { max-width: 92%; }
  .legend output { margin-left: 0; width: 100%; }
}
@media (hover: hover) {
  .icon:hover, .quiet:hover { background: var(--sunken); color: var(--ink); }
  .wide-button:hover { border-color: var(--accent); color: var(--accent); }
  #suggestions button:hover { border-color: var(--accent); color: var(--ink); }
  #model:hover { border-color: var(--line); }
}
@media (hover: none) {
  .actions, .message.user .actions, .message.tool .actions, .conversation .icon { opacity: .8; }
}
@keyframes breathe { 50% { opacity: .25; } }
@keyframes arrive { from { opacity: 0; transform: translateY(4px); } }
@keyframes slide { from { transform: translateX(24px); opacity: 0; } }
@media (prefers-reduced-motion: reduce) {
  *, ::before, ::after { animation: none !important; transition: none !important; }
}

"""#),
        WebAsset(
            name: "app.js", type: "text/javascript; charset=utf-8", entityTag: "\"7886a7ead902d90e\"",
            text: #"""
// Puts the page together: language, colours, panes, and the parts that fill them.

import { deleteAllConversations, showChat, startChat } from "./chat.js";
import { byId } from "./dom.js";
import { redrawEngine, showEngine, startEngine } from "./engine.js";
import { loadModels, showSettings, startSettings } from "./settings.js";
import { conversations } from "./store.js";
import { language, setLanguage, startLanguage, t } from "./strings.js";

const THEMES = ["auto", "light", "dark"];

function showTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  localStorage.setItem("yuyan.theme", theme);
  byId("theme").lastElementChild.textContent =
    t({ auto: "themeAuto", light: "themeLight", dark: "themeDark" }[theme]);
  redrawEngine();
}

const theme = () => THEMES.find((each) => each === localStorage.getItem("yuyan.theme")) ?? "auto";

/** Fills in the words that the HTML does not hold. */
function showLanguage() {
  byId("language").lastElementChild.textContent = t("language");
  byId("language").lang = language() === "zh" ? "en" : "zh";
  showTheme(theme());
}

function showView(view) {
  document.body.dataset.view = view;
  localStorage.setItem("yuyan.view", view);
  for (const button of byId("views").children) {
    button.setAttribute("aria-pressed", String(button.dataset.show === view));
  }
  showEngine(view !== "chat");
}

const sidebarIsOpen = () => document.body.classList.contains("sidebar-open");

function toggleSidebar(open) {
  document.body.classList.toggle("sidebar-open", open);
  byId("shade").hidden = !open;
  byId("page").inert = open;
  byId("menu").setAttribute("aria-expanded", String(open));
  (open ? byId("sidebar-close") : byId("menu")).focus();
}

/** Draws the mark as the page's icon, in the colour of the page. */
function drawIcon() {
  const path = document.querySelector("#i-swift path");
  const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 64 });
  const context = canvas.getContext("2d");
  context.scale(64 / 48, 64 / 48);
  context.translate(24, 24);
  context.rotate((38 * Math.PI) / 180);
  context.translate(-24, -24);
  context.fillStyle = "#3f78a8";
  context.fill(new Path2D(path.getAttribute("d")));
  document.querySelector("link[rel=icon]").href = canvas.toDataURL();
}

startLanguage();
showLanguage();
drawIcon();
startSettings({ deleteAll: deleteAllConversations, count: () => conversations.length });
startChat();
startEngine();
const narrow = matchMedia("(max-width: 1099px)");
const remembered = localStorage.getItem("yuyan.view");
const views = narrow.matches ? ["chat", "engine"] : ["chat", "split", "engine"];
showView(views.includes(remembered) ? remembered : "chat");
narrow.addEventListener("change", () => {
  if (narrow.matches && document.body.dataset.view === "split") showView("chat");
});

byId("language").addEventListener("click", () => {
  setLanguage(language() === "zh" ? "en" : "zh");
  showLanguage();
  showSettings();
  showChat();
  redrawEngine();
});
byId("theme").addEventListener("click", () => {
  showTheme(THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawEngine);
byId("views").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) showView(button.dataset.show);
});
byId("menu").addEventListener("click", () => toggleSidebar(true));
byId("sidebar-close").addEventListener("click", () => toggleSidebar(false));
byId("shade").addEventListener("click", () => toggleSidebar(false));
byId("sidebar").addEventListener("click", (event) => {
  const chosen = event.target.closest(".title, #new-chat");
  if (chosen && sidebarIsOpen()) toggleSidebar(false);
});
byId("sidebar").addEventListener("keydown", (event) => {
  if (event.key === "Escape" && sidebarIsOpen()) toggleSidebar(false);
});
loadModels();

"""#),
        WebAsset(
            name: "chat.js", type: "text/javascript; charset=utf-8", entityTag: "\"48bcfd77fc97f922\"",
            text: #"""
// The conversation: what was said, what is being answered, and the list of all conversations.

import { ServerError, streamChat } from "./api.js";
import { byId, h, iconButton, isSure } from "./dom.js";
import { messageView } from "./message.js";
import { enterKey, requestFields } from "./settings.js";
import {
  conversations, deleteConversation, newConversation, saveConversation, saveSettings, settings,
} from "./store.js";
import { addChunk } from "./stream.js";
import { t } from "./strings.js";
import { hidePopover, listenForTokens } from "./tokens.js";

let current = newConversation();
let views = [];
let answering = null; // { chat, message, controller } while an answer streams
let follows = true; // whether the view keeps to the end of the conversation
let height = 0; // of the scroller, when it was last scrolled

/** Connects the controls of the chat pane. */
export function startChat() {
  const input = byId("input");
  byId("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    say(input.value.trim());
  });
  input.addEventListener("input", fitInput);
  input.addEventListener("keydown", (event) => {
    // Enter also confirms a candidate of an input method; then it must not send.
    const composing = event.isComposing || event.keyCode === 229;
    if (event.key !== "Enter" || event.shiftKey || composing) return;
    event.preventDefault();
    byId("composer").requestSubmit();
  });
  byId("stop").addEventListener("click", stop);
  byId("chances").addEventListener("click", () => {
    settings.chances = !settings.chances;
    saveSettings();
    showComposer();
  });
  byId("new-chat").addEventListener("click", () => open(newConversation()));
  byId("latest").addEventListener("click", () => scrollToEnd(true));
  byId("scroller").addEventListener("scroll", () => {
    const { scrollTop, scrollHeight, clientHeight } = byId("scroller");
    // A keyboard that opens, or a window that turns, scrolls too; only a person changes their mind.
    if (clientHeight === height) follows = scrollHeight - scrollTop - clientHeight < 60;
    else scrollToEnd();
    height = clientHeight;
    byId("latest").hidden = follows;
  }, { passive: true });
  document.addEventListener("keydown", (event) => {
    const elsewhere = event.isComposing || document.querySelector("dialog[open], .sidebar-open");
    if (event.key === "Escape" && answering && !elsewhere) stop();
  });
  new ResizeObserver(() => scrollToEnd()).observe(byId("scroller"));
  listenForTokens(byId("thread"));
  showChat();
}

/** Draws everything anew, as after a change of language. */
export function showChat() {
  showList();
  showThread();
  showComposer();
}

export function deleteAllConversations() {
  stop();
  for (const chat of [...conversations]) deleteConversation(chat);
  open(newConversation());
}

/** Makes a conversation the current one. */
function open(chat) {
  current = chat;
  follows = true;
  showChat();
  if (matchMedia("(pointer: fine)").matches) byId("input").focus();
}

function say(text) {
  if (!text || answering) return;
  byId("input").value = "";
  fitInput();
  current.messages.push({ role: "user", content: text });
  answer();
}

/** Asks the server for the next message of the current conversation and shows it as it grows. */
async function answer() {
  stop();
  const chat = current;
  const message = { role: "assistant", content: "", model: settings.model,
    showTokens: settings.chances };
  const body = { ...requestFields(), messages: messagesToSend(chat) };
  chat.messages.push(message);
  const controller = new AbortController();
  const mine = (answering = { chat, message, controller });
  saveConversation(chat);
  follows = true;
  showChat();

  const started = performance.now();
  let frame = 0;
  const refresh = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      if (answering === mine) showProgress(message, true);
    });
  };
  const onChunk = (chunk) => {
    const now = performance.now();
    if (addChunk(message, chunk)) {
      message.timing ??= { first: (now - started) / 1000, generating: 0, pieces: 0 };
      message.timing.pieces += 1;
      message.timing.generating = (now - started) / 1000 - message.timing.first;
    }
    refresh();
  };
  const onWait = (error) => {
    message.note = `${t("waitingModel")} (${error.message})`;
    refresh();
  };
  try {
    await streamChat(body, { signal: controller.signal, onChunk, onWait });
    message.finish ??= "stopped";
  } catch (error) {
    message.finish = "stopped";
    if (error.name !== "AbortError") {
      const { status = 0, retryAfter = null } = error instanceof ServerError ? error : {};
      const until = retryAfter ? Date.now() + retryAfter * 1000 : null;
      message.error = { status, text: error.message, until };
    }
  }
  cancelAnimationFrame(frame);
  delete message.note;
  if (answering === mine) answering = null;
  if (conversations.includes(chat)) saveConversation(chat);
  byId("status").textContent = message.error ? "" : t("answered");
  showList();
  showComposer();
  if (current === chat && message.toolCalls) showThread();
  else showProgress(message, false);
}

function stop() {
  answering?.controller.abort();
  answering = null;
}

/** The conversation in the server's terms; answers that never came are left out. */
function messagesToSend(chat) {
  const messages = chat.messages
    .filter((message) => message.role !== "assistant" || message.content || message.toolCalls)
    .map(({ role, content, toolCalls, callId }) => ({
      role, content,
      ...(callId ? { tool_call_id: callId } : {}),
      ...(toolCalls ? { tool_calls: toolCalls.map((call) => ({ id: call.id, type: "function",
        function: { name: call.name, arguments: call.arguments } })) } : {}),
    }));
  const system = settings.system.trim();
  return system ? [{ role: "system", content: system }, ...messages] : messages;
}

/** What the buttons of the message at this place do. */
function actionsFor(chat, index) {
  const message = chat.messages[index];
  const cutAndAnswer = (count) => {
    chat.messages.length = count;
    answer();
  };
  return {
    again: () => cutAndAnswer(index),
    edit(text) {
      chat.messages[index] = { role: "user", content: text };
      cutAndAnswer(index + 1);
    },
    remove() {
      if (answering?.chat === chat) stop();
      let end = index + 1;
      // A question takes its answer along, so that the roles still alternate.
      if (message.role === "user") {
        while (end < chat.messages.length && chat.messages[end].role !== "user") end += 1;
      }
      chat.messages.splice(index, end - index);
      if (chat.messages.length) saveConversation(chat);
      else deleteConversation(chat);
      showChat();
    },
    enterKey,
    sendResults: message.toolCalls && index === chat.messages.length - 1 && ((results) => {
      message.toolCalls.forEach((call, place) =>
        chat.messages.push({ role: "tool", callId: call.id, content: results[place] }));
      answer();
    }),
  };
}

function showThread() {
  hidePopover();
  views = current.messages.map((message, index) => {
    const view = messageView(message, actionsFor(current, index));
    view.update(answering?.message === message);
    return view;
  });
  byId("thread").replaceChildren(...views.map((view) => view.element));
  byId("welcome").hidden = current.messages.length > 0;
  byId("suggestions").replaceChildren(...[1, 2, 3].map((each) => {
    const text = t(`suggestion${each}`);
    return h("button", { type: "button", onclick: () => say(text) }, text);
  }));
  scrollToEnd();
}

/** Brings the view of the streaming message up to date, if its conversation is shown. */
function showProgress(message, streaming) {
  const index = current.messages.indexOf(message);
  if (index < 0) return;
  views[index].update(streaming);
  scrollToEnd();
}

function scrollToEnd(anyway = false) {
  const scroller = byId("scroller");
  if (follows || anyway) scroller.scrollTop = scroller.scrollHeight;
}

function showComposer() {
  byId("send").hidden = Boolean(answering);
  byId("stop").hidden = !answering;
  byId("chances").setAttribute("aria-pressed", String(settings.chances));
}

function fitInput() {
  const input = byId("input");
  input.style.height = "auto";
  input.style.height = `${Math.min(input.scrollHeight, innerHeight * 0.4)}px`;
}

function showList() {
  byId("conversations").replaceChildren(...conversations.map((chat) =>
    h("div", { class: "conversation", "aria-current": chat === current ? "true" : null },
      h("button", { class: "title", onclick: () => open(chat) },
        answering?.chat === chat && h("i", { class: "live" }), chat.title || "…"),
      iconButton("trash", t("deleteChat", { title: chat.title }), (event) => {
        const button = event.currentTarget;
        byId("status").textContent = t("deleteSure");
        if (!isSure(button, t("deleteSure"))) return;
        if (answering?.chat === chat) stop();
        deleteConversation(chat);
        if (chat === current) open(newConversation());
        else showList();
      }))));
}

"""#),
        WebAsset(
            name: "dom.js", type: "text/javascript; charset=utf-8", entityTag: "\"7e1f804a612bfc97\"",
            text: #"""
// Elements without a framework, and without innerHTML: text stays text.

/** The element with this id, which index.html is sure to hold. */
export const byId = (id) => document.getElementById(id);

/**
 * Builds an element: `h("button", { class: "icon", onclick: send }, "text", child)`.
 *
 * Functions under `on…` become listeners; `true` an empty attribute; `false`, `null` and
 * `undefined` nothing. A content-security policy without inline styles forbids `style` here.
 */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

/** A symbol of the sheet at the top of index.html. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A small button that shows only an icon; the label is read out and shown on hovering. */
export function iconButton(name, label, onclick, more = {}) {
  const attributes = { type: "button", class: "icon", "aria-label": label, title: label, onclick };
  return h("button", { ...attributes, ...more }, icon(name));
}

/** Whether a button that destroys something is pressed the second time within a few seconds. */
export function isSure(button, warning) {
  if (button.classList.contains("sure")) return true;
  const label = button.firstElementChild ? null : button.textContent;
  button.classList.add("sure");
  button.title = warning;
  if (label) button.textContent = warning;
  setTimeout(() => {
    button.classList.remove("sure");
    if (label) button.textContent = label;
  }, 4000);
  return false;
}

/** Puts text on the clipboard, and a tick on the button for a moment. */
export async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Pages served over plain HTTP from another machine have no clipboard interface.
    const area = h("textarea", { class: "unseen" });
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  const before = [...button.childNodes];
  button.replaceChildren(icon("check"));
  setTimeout(() => button.replaceChildren(...before), 1200);
}

"""#),
        WebAsset(
            name: "engine.js", type: "text/javascript; charset=utf-8", entityTag: "\"bf6ee4bbd7bbd05d\"",
            text: #"""
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

"""#),
        WebAsset(
            name: "highlight.js", type: "text/javascript; charset=utf-8", entityTag: "\"ccd438938f94e306\"",
            text: #"""
// Colours for code: comments, strings, numbers and the words most languages share.

const WORDS = new Set(`
  abstract actor and as assert async await bool break case catch char class const continue def
  default defer del delete do double elif else end enum except export extends extension extern
  false final finally float fn for foreach from func function global guard if impl implements
  import in init inout int interface internal is lambda let local long loop match mod module mut
  new nil None not null of or override package pass private protocol public raise return self Self
  static struct super switch template then this throw throws trait true True False try type
  typedef typeof undefined union unsafe use using var void where while with yield select SELECT
  FROM WHERE INSERT UPDATE DELETE JOIN GROUP ORDER BY LIMIT`.trim().split(/\s+/));
const HASH_COMMENTS =
  /^(py|python|sh|bash|shell|zsh|yaml|yml|toml|rb|ruby|r|make|dockerfile|perl|ini)$/i;
const PLAIN = /^(|text|txt|plain|plaintext|output|log|markdown|md)$/i;
const STRING = `"(?:[^"\\\\\\n]|\\\\.)*"?|'(?:[^'\\\\\\n]|\\\\.)*'|\`(?:[^\`\\\\]|\\\\.)*\`?`;
const NUMBER = "\\b\\d[\\w.]*";
const WORD = "[\\p{L}_][\\p{L}\\p{N}_]*";
const SLASHES = "\\/\\/[^\\n]*|\\/\\*[^]*?(?:\\*\\/|$)";
const MAX_LENGTH = 50_000; // longer code is shown without colours

/** Splits code into `[kind, text]`, where kind is comment, string, number, word, name or null. */
export function highlight(code, language) {
  if (PLAIN.test(language) || code.length > MAX_LENGTH) return [[null, code]];
  const comment = HASH_COMMENTS.test(language) ? "#[^\\n]*"
    : /^(sql|lua|haskell|hs)$/i.test(language) ? "--[^\\n]*" : SLASHES;
  const pattern = new RegExp(`(${comment})|(${STRING})|(${NUMBER})|(${WORD})`, "gu");
  const pieces = [];
  let end = 0;
  for (const match of code.matchAll(pattern)) {
    const [text, isComment, isString, isNumber] = match;
    const kind = isComment ? "comment" : isString ? "string" : isNumber ? "number"
      : WORDS.has(text) ? "word" : code[match.index + text.length] === "(" ? "name" : null;
    if (!kind) continue;
    if (match.index > end) pieces.push([null, code.slice(end, match.index)]);
    pieces.push([kind, text]);
    end = match.index + text.length;
  }
  if (end < code.length) pieces.push([null, code.slice(end)]);
  return pieces;
}

"""#),
        WebAsset(
            name: "index.html", type: "text/html; charset=utf-8", entityTag: "\"8cac883325a6ae50\"",
            text: #"""
<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport"
    content="width=device-width, initial-scale=1, viewport-fit=cover,
      interactive-widget=resizes-content">
  <meta name="color-scheme" content="light dark">
  <meta name="referrer" content="no-referrer">
  <title>Yuyan 雨燕</title>
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="app.css">
  <script type="module" src="app.js"></script>
</head>
<body data-view="chat">
  <svg hidden aria-hidden="true">
    <symbol id="i-swift" viewBox="0 0 48 48"><path fill="currentColor" stroke="none"
      transform="rotate(38 24 24)" d="M24 4c2 2.3 3.1 5.6 3.5 9.300C35 14 42.5 19.5 47 31.5
      40 25 33.5 22.8 28 23.600c-.5 5.4-.2 10 3.6 20.4-3.4-2.6-6-5.8-7.6-10-1.6 4.2-4.2
      7.4-7.6 10 3.8-10.4 4.1-15 3.6-20.400C14.5 22.8 8 25 1 31.5 5.5 19.5 13 14 20.5 13.3
      20.9 9.6 22 6.3 24 4z"/></symbol>
    <symbol id="i-plus" viewBox="0 0 24 24"><path d="M12 5v14M5 12h14"/></symbol>
    <symbol id="i-menu" viewBox="0 0 24 24"><path d="M4 7h16M4 12h16M4 17h10"/></symbol>
    <symbol id="i-close" viewBox="0 0 24 24"><path d="M6 6l12 12M18 6L6 18"/></symbol>
    <symbol id="i-send" viewBox="0 0 24 24"><path d="M12 19V5M6 11l6-6 6 6"/></symbol>
    <symbol id="i-stop" viewBox="0 0 24 24"><rect x="7" y="7" width="10" height="10" rx="2"
      fill="currentColor" stroke="none"/></symbol>
    <symbol id="i-down" viewBox="0 0 24 24"><path d="M12 5v14M6 13l6 6 6-6"/></symbol>
    <symbol id="i-copy" viewBox="0 0 24 24"><rect x="9" y="9" width="11" height="11" rx="2.5"/>
      <path d="M5 15.500A1.5 1.5 0 0 1 4 14V6a2 2 0 0 1 2-2h8a1.5 1.5 0 0 1 1.5 1"/></symbol>
    <symbol id="i-check" viewBox="0 0 24 24"><path d="M5 12.500l4.5 4.500L19 7.5"/></symbol>
    <symbol id="i-edit" viewBox="0 0 24 24"><path
      d="M4 20l1-4.500L16 4.500l3.5 3.500L8.5 19z"/></symbol>
    <symbol id="i-again" viewBox="0 0 24 24"><path
      d="M19.5 12a7.5 7.5 0 1 1-2.3-5.400M19.5 4v4h-4"/>
      </symbol>
    <symbol id="i-trash" viewBox="0 0 24 24"><path
      d="M5 7h14M10 7V4.500h4V7M7 7l1 13h8l1-13"/></symbol>
    <symbol id="i-chance" viewBox="0 0 24 24"><path
      d="M5 19v-7M10 19V5M15 19v-4M20 19v-9"/></symbol>
    <symbol id="i-sliders" viewBox="0 0 24 24"><path d="M4 7h9M18.5 7H20M4 17h2.500M12 17h8"/>
      <circle cx="15.750" cy="7" r="2.5"/><circle cx="9.250" cy="17" r="2.5"/></symbol>
    <symbol id="i-chat" viewBox="0 0 24 24"><path d="M5 5h14v11h-8l-4 3.500V16H5z"/></symbol>
    <symbol id="i-split" viewBox="0 0 24 24"><rect x="4" y="5" width="16" height="14" rx="2"/>
      <path d="M13 5v14"/></symbol>
    <symbol id="i-blocks" viewBox="0 0 24 24"><path d="M4.5 4.500h6v6h-6zM13.5 4.500h6v6h-6zM4.5
      13.500h6v6h-6zM13.5 13.500h6v6h-6z"/></symbol>
    <symbol id="i-theme" viewBox="0 0 24 24"><circle cx="12" cy="12" r="8"/>
      <path d="M12 4a8 8 0 0 1 0 16z" fill="currentColor"/></symbol>
    <symbol id="i-language" viewBox="0 0 24 24"><circle cx="12" cy="12" r="8"/>
      <path d="M4 12h16M12 4c-5 5-5 11 0 16 5-5 5-11 0-16z"/></symbol>
    <symbol id="i-fold" viewBox="0 0 24 24"><path d="M9 6l6 6-6 6"/></symbol>
    <symbol id="i-tool" viewBox="0 0 24 24"><path
      d="M14.5 6.500a4 4 0 0 1 5-1.500l-2.7 2.7 1.5 1.500L21
      6.500a4 4 0 0 1-5.5 5L8 19a2 2 0 0 1-3-3l7.5-7.500a4 4 0 0 1 2-2z"/></symbol>
  </svg>
  <a class="skip" href="#input" data-t="skip">Skip to the message box</a>

  <aside id="sidebar" aria-label="Conversations" data-label="conversations">
    <div class="brand">
      <svg class="mark" aria-hidden="true"><use href="#i-swift"/></svg>
      <span>Yuyan <b lang="zh">雨燕</b></span>
      <button id="sidebar-close" class="icon narrow-only" data-label="close">
        <svg aria-hidden="true"><use href="#i-close"/></svg></button>
    </div>
    <button id="new-chat" class="wide-button">
      <svg aria-hidden="true"><use href="#i-plus"/></svg><span data-t="newChat">New
        chat</span></button>
    <nav id="conversations" data-label="conversations"></nav>
    <div class="sidebar-foot">
      <button id="language" class="quiet" data-label="switchLanguage">
        <svg aria-hidden="true"><use href="#i-language"/></svg><span></span></button>
      <button id="theme" class="quiet" data-label="switchTheme">
        <svg aria-hidden="true"><use href="#i-theme"/></svg><span></span></button>
    </div>
  </aside>
  <div id="shade" hidden></div>

  <div id="page">
    <header>
      <button id="menu" class="icon narrow-only" aria-expanded="false" aria-controls="sidebar"
        data-label="conversations"><svg aria-hidden="true"><use href="#i-menu"/></svg></button>
      <label class="model-picker"><span class="unseen" data-t="model">Model</span>
        <select id="model"></select></label>
      <div id="views" role="group" data-label="view">
        <button data-show="chat" aria-pressed="true"><svg aria-hidden="true"><use
          href="#i-chat"/></svg>
          <span data-t="chat">Chat</span></button>
        <button data-show="split" class="roomy-only" aria-pressed="false">
          <svg aria-hidden="true"><use href="#i-split"/></svg><span
            data-t="split">Both</span></button>
        <button data-show="engine" aria-pressed="false">
          <svg aria-hidden="true"><use href="#i-blocks"/></svg><span
            data-t="engine">Engine</span></button>
      </div>
      <button id="settings-open" class="icon" data-label="settings">
        <svg aria-hidden="true"><use href="#i-sliders"/></svg></button>
    </header>
    <div id="banner" role="alert" hidden></div>

    <div id="panes">
      <main id="chat" aria-label="Chat" data-label="chat">
        <div id="scroller">
          <div id="welcome">
            <svg class="mark" aria-hidden="true"><use href="#i-swift"/></svg>
            <h1 data-t="welcome">What shall we write?</h1>
            <p data-t="welcomeNote">Everything stays on this machine.</p>
            <div id="suggestions"></div>
          </div>
          <div id="thread" role="log" aria-live="off" data-label="messages"></div>
        </div>
        <form id="composer">
          <button type="button" id="latest" class="icon" data-label="latest" hidden>
            <svg aria-hidden="true"><use href="#i-down"/></svg></button>
          <textarea id="input" rows="1" enterkeyhint="send" data-label="message"
            data-hint="messageHint"></textarea>
          <div class="composer-row">
            <button type="button" id="chances" class="chip" aria-pressed="false"
              data-label="chancesHelp"><svg aria-hidden="true"><use href="#i-chance"/></svg>
              <span data-t="chances">Probabilities</span></button>
            <span id="hint" data-t="sendHint">Enter sends, Shift+Enter breaks the line</span>
            <button id="send" class="send" data-label="send">
              <svg aria-hidden="true"><use href="#i-send"/></svg></button>
            <button type="button" id="stop" class="send" data-label="stop" hidden>
              <svg aria-hidden="true"><use href="#i-stop"/></svg></button>
          </div>
        </form>
      </main>

      <section id="engine" aria-label="Engine" data-label="engineLive">
        <div id="engine-note" class="note" role="status" hidden></div>
        <div id="tiles"></div>
        <div class="card">
          <h2><span data-t="blockMap">Cache blocks</span><small id="map-summary"></small></h2>
          <canvas id="map" role="img" tabindex="0"></canvas>
          <div class="legend">
            <span><i class="swatch used"></i><span data-t="usedBlock">in use, by
              sequence</span></span>
            <span><i class="swatch shared"></i><span data-t="sharedBlock">shared</span></span>
            <span><i class="swatch cached"></i><span data-t="cachedBlock">cached, idle</span></span>
            <span><i class="swatch free"></i><span data-t="freeBlock">free</span></span>
            <output id="map-reading"></output>
          </div>
        </div>
        <div class="card">
          <h2><span data-t="runningSequences">Running sequences</span><small
            id="queue"></small></h2>
          <div class="table-scroll" tabindex="0" role="region" data-label="runningSequences">
            <table><thead><tr>
              <th data-t="sequence">Sequence</th><th data-t="promptTokens">Prompt</th>
              <th data-t="generatedTokens">Generated</th><th data-t="blocks">Blocks</th>
              <th data-t="adapter">Adapter</th></tr></thead>
              <tbody id="running"></tbody></table>
          </div>
        </div>
        <div class="card">
          <h2 data-t="sinceStart">Since the start</h2>
          <dl id="totals"></dl>
        </div>
      </section>
    </div>
  </div>

  <dialog id="settings" aria-labelledby="settings-title">
    <div class="sheet-head"><h2 id="settings-title" data-t="settings">Settings</h2>
      <button id="settings-close" class="icon" data-label="close">
        <svg aria-hidden="true"><use href="#i-close"/></svg></button></div>
    <div class="sheet-body">
      <section>
        <label class="field"><span data-t="systemPrompt">System prompt</span>
          <textarea id="system" rows="4" data-hint="systemHint"></textarea></label>
      </section>
      <section>
        <h3 data-t="sampling">Sampling</h3>
        <p class="note" data-t="samplingNote">Empty fields leave the choice to the server.</p>
        <div id="sampling"></div>
        <label class="field"><span data-t="stopStrings">Stop strings, one a line</span>
          <textarea id="stops" rows="2" spellcheck="false"></textarea></label>
        <label class="field"><span data-t="extra">More request fields (JSON)</span>
          <textarea id="extra" class="code" rows="3" spellcheck="false"
            aria-describedby="extra-error"
            placeholder='{"response_format": {"type": "json_object"}}'></textarea></label>
        <p id="extra-error" class="problem" role="alert"></p>
        <button id="reset" class="quiet" data-t="reset">Back to the server's defaults</button>
      </section>
      <section>
        <h3 data-t="adapters">Adapters</h3>
        <ul id="adapters"></ul>
        <form id="adapter-form">
          <label class="field"><span data-t="adapterName">Name</span>
            <input id="adapter-name" required autocomplete="off" spellcheck="false"></label>
          <label class="field"><span data-t="adapterPath">Folder on the server</span>
            <input id="adapter-path" required autocomplete="off" spellcheck="false"
              placeholder="/models/adapter"></label>
          <button class="primary" data-t="load">Load</button>
        </form>
        <p id="adapter-result" class="note" role="status"></p>
      </section>
      <section>
        <label class="field"><span data-t="apiKey">API key</span>
          <input id="key" type="password" autocomplete="off" spellcheck="false"></label>
        <p class="note" data-t="keyNote">Kept until this tab is closed.</p>
      </section>
      <section>
        <button id="delete-all" class="quiet danger" data-t="deleteAll">Delete all
          conversations</button>
      </section>
    </div>
  </dialog>
  <div id="popover" role="tooltip" hidden></div>
  <div id="status" class="unseen" role="status"></div>
  <noscript>Yuyan's page needs JavaScript. 此页面需要 JavaScript。</noscript>
</body>
</html>

"""#),
        WebAsset(
            name: "markdown.js", type: "text/javascript; charset=utf-8", entityTag: "\"825e6068c7d95462\"",
            text: #"""
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

"""#),
        WebAsset(
            name: "message.js", type: "text/javascript; charset=utf-8", entityTag: "\"1175e1f6d8d05c1b\"",
            text: #"""
// How one message of a conversation looks.

import { copyText, h, icon, iconButton } from "./dom.js";
import { show } from "./markdown.js";
import { duration, number, t } from "./strings.js";
import { showTokens } from "./tokens.js";

const copyButton = (text) => {
  const button = iconButton("copy", t("copy"), () => copyText(text, button));
  return button;
};

/**
 * Builds the view of a message; `update(streaming)` brings it up to date as the message grows.
 *
 * `actions` holds what the buttons do: `again`, `edit(text)`, `remove`, `enterKey`,
 * `sendResults(texts)`; all but the first are given the message's place by the caller.
 */
export function messageView(message, actions) {
  return message.role === "assistant" ? answerView(message, actions) : saidView(message, actions);
}

function saidView(message, actions) {
  const body = h("div", { class: "bubble" }, message.content);
  const element = h("article", { class: `message ${message.role}`,
    "aria-label": message.role === "tool" ? t("toolResult") : t("you") }, body);
  const buttons = h("div", { class: "actions" },
    copyButton(message.content),
    message.role === "user" && iconButton("edit", t("edit"), () => edit()),
    iconButton("trash", t("delete"), actions.remove));
  element.append(buttons);

  function edit() {
    const area = h("textarea", { rows: Math.min(12, message.content.split("\n").length + 1),
      "aria-label": t("edit") });
    area.value = message.content;
    const form = h("form", { class: "edit-form",
      onsubmit: (event) => {
        event.preventDefault();
        if (area.value.trim()) actions.edit(area.value.trim());
      },
      onkeydown: (event) => {
        if (event.key === "Escape") close();
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
      } },
    area,
    h("div", { class: "row" },
      h("button", { type: "button", class: "quiet", onclick: () => close() }, t("cancel")),
      h("button", { class: "primary" }, t("resend"))));
    const close = () => form.replaceWith(body, buttons);
    buttons.remove();
    body.replaceWith(form);
    area.focus();
  }
  return { element, update() {} };
}

function answerView(message, actions) {
  let asTokens = Boolean(message.tokens?.length) && message.showTokens === true;
  const reasoning = h("div", { class: "markdown" });
  const reasoningName = h("span");
  const fold = h("details", { class: "reasoning", hidden: true },
    h("summary", null, icon("fold"), reasoningName), reasoning);
  const body = h("div", { class: "markdown" });
  const tokens = h("div", { class: "tokens", hidden: true });
  const scale = h("div", { class: "scale", "aria-hidden": "true" }, "0%", h("i"), "100%");
  const calls = h("div", { class: "calls" });
  const problem = h("div", { class: "problem-box", role: "alert", hidden: true });
  const wait = h("p", { class: "waiting" }, h("i"), h("i"), h("i"), h("span"));
  const usage = h("p", { class: "usage" });
  const actionsBar = h("div", { class: "actions" });
  const element = h("article", { class: "message assistant", "aria-label": t("yuyan") },
    h("div", { class: "byline" }, icon("swift"), message.model || t("yuyan")),
    fold, body, tokens, scale, calls, wait, problem, usage, actionsBar);

  function update(streaming) {
    element.classList.toggle("streaming", streaming);
    element.setAttribute("aria-busy", String(streaming));
    if (message.reasoning) {
      fold.hidden = false;
      const thinking = streaming && !message.content;
      reasoningName.textContent = thinking ? t("reasoningNow") : t("reasoning");
      show(reasoning, message.reasoning.trim());
    }
    if (message.showTokens && message.tokens?.length) asTokens = true;
    body.hidden = asTokens;
    tokens.hidden = !asTokens;
    scale.hidden = !asTokens || streaming;
    if (asTokens) showTokens(tokens, message.tokens ?? []);
    else show(body, message.content, copyButton);
    const silent = streaming && !message.content && !message.reasoning && !message.toolCalls;
    wait.hidden = !silent;
    wait.lastChild.textContent = message.note ?? t("waiting");
    if (message.toolCalls) showCalls(streaming);
    usage.textContent = usageLine(message);
    actionsBar.hidden = streaming;
    if (!streaming) {
      showProblem();
      showActions();
    }
  }

  function showActions() {
    const toggle = message.tokens?.length && iconButton("chance",
      t(asTokens ? "showText" : "showTokens"), () => {
        asTokens = !asTokens;
        message.showTokens = asTokens;
        update(false);
      }, { "aria-pressed": String(asTokens), "data-do": "tokens" });
    actionsBar.replaceChildren(...[
      message.content && copyButton(message.content),
      toggle,
      !message.error && iconButton("again", t("regenerate"), actions.again, { "data-do": "again" }),
      iconButton("trash", t("delete"), actions.remove),
    ].filter(Boolean));
  }

  function showCalls(streaming) {
    const results = [];
    const cards = message.toolCalls.map((call) => {
      const card = h("div", { class: "call" },
        h("div", { class: "call-head" }, icon("tool"), h("b", null, call.name), t("toolCall")),
        h("pre", null, h("code", null, streaming ? call.arguments : pretty(call.arguments))));
      if (!streaming && actions.sendResults) {
        const result = h("textarea", { rows: "2", placeholder: t("toolResult"),
          "aria-label": `${t("toolResult")}: ${call.name}`, spellcheck: "false" });
        results.push(result);
        card.append(result);
      }
      return card;
    });
    if (results.length) {
      cards.push(h("button", { class: "primary", type: "button",
        onclick: () => actions.sendResults(results.map((area) => area.value)) }, t("sendResult")));
    }
    calls.replaceChildren(...cards);
  }

  function showProblem() {
    problem.hidden = !message.error;
    if (!message.error) return;
    const { status, text, until } = message.error;
    const lost = message.content ? "connectionLost" : "unreachable";
    const title = { 0: lost, 401: "needKey", 429: "tooBusy" }[status];
    const button = (kind, onclick, text) =>
      h("button", { type: "button", class: kind, onclick }, text);
    const retry = button("quiet", actions.again, t("retry"));
    problem.replaceChildren(
      h("p", null, title && h("b", null, t(title), " "), text),
      h("div", { class: "row" },
        status === 401 && button("primary", actions.enterKey, t("enterKey")),
        retry));
    const tick = () => {
      const seconds = Math.ceil(((until ?? 0) - Date.now()) / 1000);
      retry.textContent = seconds > 0 ? t("retryIn", { seconds }) : t("retry");
      retry.disabled = seconds > 0;
      if (seconds > 0 && retry.isConnected) setTimeout(tick, 250);
    };
    setTimeout(tick);
  }
  return { element, update };
}

/** Tokens, speed and delay of an answer, as far as they are known. */
function usageLine({ usage, timing, finish, error, tokens }) {
  const parts = [];
  if (usage) {
    parts.push(t("usage", { count: number(usage.completion) }));
    if (timing?.generating > 0 && usage.completion > 1) {
      const rate = (usage.completion - 1) / timing.generating;
      parts.push(t("perSecond", { rate: number(rate, rate < 100 ? 1 : 0) }));
    }
  }
  if (!usage && timing?.pieces > 1 && timing.generating > 0) {
    // Until the server's count arrives, pieces of the stream stand in for tokens.
    parts.push(t("perSecond", { rate: number((timing.pieces - 1) / timing.generating, 1) }));
  }
  if (timing?.first) parts.push(t("firstToken", { time: duration(timing.first) }));
  if (usage) parts.push(t("promptUsage", { count: number(usage.prompt) }));
  if (usage?.cached) parts.push(t("cachedUsage", { count: number(usage.cached) }));
  if (tokens?.length) {
    const mean = tokens.reduce((sum, token) => sum + token[1], 0) / tokens.length;
    parts.push(t("perplexity", { value: number(Math.exp(-mean), 2) }));
  }
  if (finish === "length") parts.push(t("finishLength"));
  if (finish === "stopped" && !error) parts.push(t("finishStopped"));
  return parts.join(" · ");
}

function pretty(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

"""#),
        WebAsset(
            name: "settings.js", type: "text/javascript; charset=utf-8", entityTag: "\"a2e626ca49648a29\"",
            text: #"""
// The settings sheet, the list of models, and what both put into a request.

import { apiKey, getJSON, patiently, post } from "./api.js";
import { byId, h, isSure } from "./dom.js";
import { saveSettings, settings, usualSampling } from "./store.js";
import { t } from "./strings.js";

// Name, least, greatest, step.
const SAMPLING = [
  ["temperature", 0, 2, 0.05], ["top_p", 0, 1, 0.01], ["top_k", 0, 100000, 1],
  ["min_p", 0, 1, 0.01],
  ["max_tokens", 1, 1000000, 1], ["repetition_penalty", 0.1, 5, 0.05], ["seed", 0, 2 ** 53, 1],
];

let models = [];

/** The fields of a chat request that the settings decide. */
export function requestFields() {
  const stop = settings.stops.split("\n").filter(Boolean);
  return {
    ...(settings.model ? { model: settings.model } : {}),
    stream: true,
    stream_options: { include_usage: true },
    ...settings.sampling,
    ...(stop.length ? { stop } : {}),
    ...(settings.chances ? { logprobs: true, top_logprobs: 5 } : {}),
    ...extraFields().fields,
  };
}

function extraFields() {
  if (!settings.extra.trim()) return { fields: {} };
  try {
    const fields = JSON.parse(settings.extra);
    if (fields && typeof fields === "object" && !Array.isArray(fields)) return { fields };
    return { fields: {}, reason: settings.extra.trim().slice(0, 40) };
  } catch (error) {
    return { fields: {}, reason: error.message };
  }
}

/** Connects the sheet's controls. */
export function startSettings({ deleteAll, count }) {
  byId("settings-open").addEventListener("click", () => {
    byId("settings").showModal();
    loadModels();
  });
  byId("settings-close").addEventListener("click", () => byId("settings").close());
  byId("settings").addEventListener("click", (event) => {
    if (event.target === byId("settings")) byId("settings").close();
  });
  for (const [id, name] of [["system", "system"], ["stops", "stops"], ["extra", "extra"]]) {
    byId(id).addEventListener("input", (event) => {
      settings[name] = event.target.value;
      saveSettings();
      showProblem();
    });
  }
  byId("key").addEventListener("change", (event) => {
    apiKey.set(event.target.value);
    loadModels();
  });
  byId("reset").addEventListener("click", () => {
    Object.assign(settings, { sampling: usualSampling(), stops: "", extra: "" });
    saveSettings();
    showSettings();
  });
  byId("delete-all").addEventListener("click", ({ target }) => {
    if (!isSure(target, t("deleteAllSure", { count: count() }))) return;
    deleteAll();
    byId("settings").close();
  });
  byId("adapter-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = byId("adapter-name").value.trim();
    const path = byId("adapter-path").value.trim();
    changeAdapter("v1/load_lora_adapter", { lora_name: name, lora_path: path }, "adapterLoaded");
  });
  byId("model").addEventListener("change", (event) => {
    settings.model = event.target.value;
    saveSettings();
  });
  showSettings();
}

/** Fills the sheet in the present language. */
export function showSettings() {
  byId("system").value = settings.system;
  byId("stops").value = settings.stops;
  byId("extra").value = settings.extra;
  byId("key").value = apiKey.get();
  byId("sampling").replaceChildren(...SAMPLING.map(([name, min, max, step]) => {
    const input = h("input", { type: "number", inputmode: "decimal", min, max, step, name,
      placeholder: t("unset"), value: settings.sampling[name] ?? null,
      oninput: () => {
        if (Number.isFinite(input.valueAsNumber)) settings.sampling[name] = input.valueAsNumber;
        else delete settings.sampling[name];
        saveSettings();
      } });
    return h("label", { class: "field" }, h("span", null, t(name)), input);
  }));
  showProblem();
  showModels();
}

function showProblem() {
  const { reason } = extraFields();
  byId("extra-error").textContent = reason ? t("extraBad", { reason }) : "";
}

/** Opens the sheet at the field for the key. */
export function enterKey() {
  byId("settings").showModal();
  byId("key").focus();
}

/** Asks the server for its models, waiting while it loads one; trouble goes to the banner. */
export async function loadModels() {
  const banner = byId("banner");
  try {
    const list = await patiently(() => getJSON("v1/models"), null, () => {
      banner.hidden = false;
      banner.replaceChildren(t("waitingModel"));
    });
    models = list.data ?? [];
    banner.hidden = true;
  } catch (error) {
    const needsKey = error.status === 401;
    banner.hidden = false;
    banner.replaceChildren(
      h("span", null, needsKey ? t("needKey") : `${t("unreachable")} ${error.message}`),
      h("button", { type: "button", class: "quiet", onclick: needsKey ? enterKey : loadModels },
        t(needsKey ? "enterKey" : "retry")));
  }
  showModels();
}

function showModels() {
  const isAdapter = (model) => Boolean(model.parent);
  const options = (list) => list.map((model) => h("option", { value: model.id }, model.id));
  const base = models.filter((model) => !isAdapter(model));
  const adapters = models.filter(isAdapter);
  const picker = byId("model");
  picker.replaceChildren(...adapters.length
    ? [h("optgroup", { label: t("baseModels") }, options(base)),
      h("optgroup", { label: t("adapters") }, options(adapters))]
    : options(base));
  if (models.length && !models.some((model) => model.id === settings.model)) {
    settings.model = (base[0] ?? models[0]).id;
    saveSettings();
  }
  picker.value = settings.model;
  picker.hidden = models.length === 0;
  byId("adapters").replaceChildren(...adapters.map((model) =>
    h("li", null, h("span", null, h("b", null, model.id), h("small", null, model.root ?? "")),
      h("button", { type: "button", class: "quiet", onclick: () =>
        changeAdapter("v1/unload_lora_adapter", { lora_name: model.id }, "adapterUnloaded") },
      t("unload")))));
  if (!adapters.length) byId("adapters").append(h("li", { class: "note" }, t("noAdapters")));
}

async function changeAdapter(path, body, done) {
  const result = byId("adapter-result");
  result.className = "note";
  result.textContent = t("loading");
  try {
    await post(path, body);
    result.textContent = t(done, { name: body.lora_name });
    byId("adapter-form").reset();
    await loadModels();
  } catch (error) {
    result.className = "note problem";
    result.textContent = error.message || t("unreachable");
  }
}

"""#),
        WebAsset(
            name: "store.js", type: "text/javascript; charset=utf-8", entityTag: "\"306ba72cf1bdbb32\"",
            text: #"""
// Conversations and settings, kept in this browser's local storage.

const PREFIX = "yuyan.chat.";

/** Reads JSON from local storage; whatever is damaged counts as absent. */
function read(key, fallback) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? fallback;
  } catch {
    return fallback;
  }
}

/** Small models wander at the API's own default, a temperature of 1 with all tokens kept. */
export const usualSampling = () => ({ temperature: 0.7, top_p: 0.9 });

export const settings = {
  system: "", sampling: usualSampling(), stops: "", extra: "", chances: false, model: "",
  ...read("yuyan.settings", {}),
};

export function saveSettings() {
  localStorage.setItem("yuyan.settings", JSON.stringify(settings));
}

/** All conversations, the latest first: `{ id, title, updated, messages }`. */
export const conversations = Object.keys(localStorage)
  .filter((key) => key.startsWith(PREFIX))
  .map((key) => read(key, null))
  .filter((chat) => chat && Array.isArray(chat.messages))
  .sort((a, b) => b.updated - a.updated);

/** A conversation that is not stored until something is said in it. */
export function newConversation() {
  return { id: `${Date.now().toString(36)}${Math.random().toString(36).slice(2, 6)}`,
    title: "", updated: Date.now(), messages: [] };
}

/** Stores a conversation and moves it to the front. */
export function saveConversation(chat) {
  chat.updated = Date.now();
  const said = chat.messages.find((message) => message.role === "user")?.content ?? "";
  chat.title = said.trim().replace(/\s+/g, " ").slice(0, 60);
  const at = conversations.indexOf(chat);
  if (at >= 0) conversations.splice(at, 1);
  conversations.unshift(chat);
  makeRoom(() => localStorage.setItem(PREFIX + chat.id, JSON.stringify(chat)), chat);
}

export function deleteConversation(chat) {
  const at = conversations.indexOf(chat);
  if (at >= 0) conversations.splice(at, 1);
  localStorage.removeItem(PREFIX + chat.id);
}

/** Writes; when storage is full, gives up log-probabilities, then the oldest conversations. */
function makeRoom(write, chat) {
  for (;;) {
    try {
      return write();
    } catch {
      const heavy = [...conversations].reverse()
        .find((each) => each.messages.some((message) => message.tokens));
      const oldest = conversations.at(-1);
      if (heavy) {
        for (const message of heavy.messages) delete message.tokens;
        localStorage.removeItem(PREFIX + heavy.id);
        if (heavy !== chat) localStorage.setItem(PREFIX + heavy.id, JSON.stringify(heavy));
      } else if (oldest !== chat) {
        deleteConversation(oldest);
      } else {
        return undefined; // one conversation larger than the storage lives in memory only
      }
    }
  }
}

"""#),
        WebAsset(
            name: "stream.js", type: "text/javascript; charset=utf-8", entityTag: "\"7a3f78eb00db9c4c\"",
            text: #"""
// The stream of a chat completion: server-sent events, and the message they add up to.

/** Splits server-sent events out of text that arrives in arbitrary pieces. */
export class EventParser {
  #rest = "";
  #data = [];

  /** Takes the next piece of text and returns the data of the events that it completes. */
  push(text) {
    const events = [];
    this.#rest += text;
    let start = 0;
    for (;;) {
      const end = this.#rest.slice(start).search(/[\r\n]/);
      if (end < 0) break;
      const at = start + end;
      // A carriage return at the very end may be half of CR LF: wait for the other half.
      if (this.#rest[at] === "\r" && at + 1 === this.#rest.length) break;
      const line = this.#rest.slice(start, at);
      start = at + (this.#rest[at] === "\r" && this.#rest[at + 1] === "\n" ? 2 : 1);
      if (line === "") {
        if (this.#data.length) events.push(this.#data.join("\n"));
        this.#data = [];
      } else if (line === "data" || line.startsWith("data:")) {
        this.#data.push(line.slice(5).replace(/^ /, ""));
      }
    }
    this.#rest = this.#rest.slice(start);
    return events;
  }
}

/**
 * Adds one chunk of the stream to a message; returns whether it brought anything to show.
 *
 * The message is `{ content, reasoning?, toolCalls?, tokens?, usage?, finish? }`; `tokens` holds
 * `[text, logProbability, [[text, logProbability], …]]` for each token.
 */
export function addChunk(message, chunk) {
  if (chunk.usage) {
    message.usage = {
      prompt: chunk.usage.prompt_tokens ?? 0,
      completion: chunk.usage.completion_tokens ?? 0,
      cached: chunk.usage.prompt_tokens_details?.cached_tokens ?? 0,
    };
  }
  const choice = chunk.choices?.find((one) => (one.index ?? 0) === 0);
  if (!choice) return false;
  const delta = choice.delta ?? {};
  const reasoning = delta.reasoning_content ?? delta.reasoning ?? "";
  const content = delta.content ?? "";
  if (reasoning) message.reasoning = (message.reasoning ?? "") + reasoning;
  if (content) message.content += content;
  for (const piece of delta.tool_calls ?? []) {
    message.toolCalls ??= [];
    const call = (message.toolCalls[piece.index ?? 0] ??= { id: "", name: "", arguments: "" });
    call.id ||= piece.id ?? "";
    call.name ||= piece.function?.name ?? "";
    call.arguments += piece.function?.arguments ?? "";
  }
  for (const entry of choice.logprobs?.content ?? []) {
    message.tokens ??= [];
    const rest = (entry.top_logprobs ?? []).map((other) => [tokenText(other), other.logprob]);
    message.tokens.push([tokenText(entry), entry.logprob, rest]);
  }
  if (choice.finish_reason) message.finish = choice.finish_reason;
  return Boolean(reasoning || content || delta.tool_calls?.length);
}

/** A token's text; half a character is shown by its bytes, `⟨e9⟩`. */
function tokenText({ token = "", bytes }) {
  if (!token.includes("\ufffd") || !bytes) return token;
  return `⟨${bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(" ")}⟩`;
}

"""#),
        WebAsset(
            name: "strings.js", type: "text/javascript; charset=utf-8", entityTag: "\"df0fd9a432a4269f\"",
            text: #"""
// The page's words in English and Chinese.

export const STRINGS = {
  en: {
    skip: "Skip to the message box", conversations: "Conversations", close: "Close",
    newChat: "New chat", model: "Model", baseModels: "Model", view: "View", chat: "Chat",
    split: "Both", engine: "Engine", engineLive: "Live view of the engine", settings: "Settings",
    language: "中文", switchLanguage: "切换为中文", switchTheme: "Colours",
    themeAuto: "Auto", themeLight: "Light", themeDark: "Dark",
    welcome: "What shall we write?",
    welcomeNote: "Your words go to this server and nowhere else.",
    suggestion1: "Explain how a bird can sleep while it flies",
    suggestion2: "Write a Swift function that reverses the words of a sentence",
    suggestion3: "Draft a short, friendly reminder about a meeting",
    messages: "Messages", latest: "Go to the latest message", message: "Message",
    messageHint: "Write a message", sendHint: "Enter sends, Shift+Enter breaks the line",
    chances: "Probabilities", chancesHelp: "Colour each token of new answers by its probability",
    send: "Send", stop: "Stop", you: "You", yuyan: "Yuyan",
    copy: "Copy", edit: "Edit", regenerate: "Answer again", delete: "Delete", cancel: "Cancel",
    resend: "Send again", showTokens: "Show probabilities", showText: "Show text",
    reasoning: "Reasoning", reasoningNow: "Thinking…", toolCall: "Tool call",
    toolResult: "Result of the tool", sendResult: "Send the result",
    answered: "The answer is complete",
    deleteChat: "Delete “{title}”", deleteSure: "Press again to delete",
    deleteAll: "Delete all conversations",
    deleteAllSure: "Press again to delete {count} conversations",
    usage: "{count} tokens", perSecond: "{rate} tokens/s", firstToken: "first token after {time}",
    promptUsage: "prompt {count}", cachedUsage: "{count} from cache",
    perplexity: "perplexity {value}", finishLength: "cut at the token limit",
    finishStopped: "stopped",
    waitingModel: "The model is loading; waiting for it…", waiting: "Waiting for the first token…",
    needKey: "This server wants an API key.", enterKey: "Enter the key",
    tooBusy: "The server has its hands full.", retryIn: "Try again in {seconds} s",
    retry: "Try again", unreachable: "The server cannot be reached.",
    connectionLost: "The connection broke off before the answer was complete.",
    systemPrompt: "System prompt",
    systemHint: "How the model should behave, for every conversation",
    sampling: "Sampling", samplingNote: "Empty fields leave the choice to the server.",
    temperature: "Temperature", top_p: "Top p", top_k: "Top k", min_p: "Min p",
    max_tokens: "Max tokens", repetition_penalty: "Repetition penalty", seed: "Seed",
    unset: "default", stopStrings: "Stop strings, one a line", extra: "More request fields (JSON)",
    extraBad: "Not a JSON object, so not sent: {reason}", reset: "Back to the server's defaults",
    adapters: "Adapters", noAdapters: "No adapter is loaded.", adapterName: "Name",
    adapterPath: "Folder on the server", load: "Load", unload: "Unload", loading: "Loading…",
    adapterLoaded: "{name} is loaded.", adapterUnloaded: "{name} is unloaded.",
    apiKey: "API key", keyNote: "Kept until this tab is closed.",
    tokenNumber: "Token {number}: {text}, {percent}", others: "others",
    blockMap: "Cache blocks", usedBlock: "in use, by sequence", sharedBlock: "shared",
    cachedBlock: "cached, idle", freeBlock: "free",
    mapSummary: "{used} of {total} in use · {size} each",
    mapLabel:
      "{total} blocks: {used} in use, {cached} cached, {free} free. Step with the arrow keys.",
    readFree: "Block {block}: free", readCached: "Block {block}: cached, idle",
    readUsed: "Block {block}: sequence {sequence}",
    readShared: "Block {block}: sequence {sequence}, {users} users",
    runningSequences: "Running sequences", queueLength: "{count} waiting",
    nobody: "Nothing is running.",
    sequence: "Sequence", promptTokens: "Prompt", generatedTokens: "Generated", blocks: "Blocks",
    adapter: "Adapter", reading: "{done} of {all}",
    tileRate: "Generated tokens/s", tilePrefill: "Prompt tokens/s", tileRunning: "Running",
    tileWaiting: "waiting: {count}", tileCache: "Blocks in use", tileUtilization: "Filled",
    tileFragmentation: "fragmentation {share}", tileHits: "Prefix-cache hits",
    tileHitsNote: "{hits} of {queries} tokens", tileAccepted: "Drafts accepted",
    tileAcceptedNote: "{accepted} of {drafted}", tileOff: "not in use",
    guessing: "Guessing ahead", guessingOn: "on, {length} a time", guessingOff: "paused",
    tileTokens: "{count} tokens",
    peak: "peak {value}", sinceStart: "Since the start", uptime: "Up for", requests: "Requests",
    cancelled: "Cancelled", preemptions: "Preemptions", evicted: "Evicted blocks",
    totalPrompt: "Prompt tokens", totalGenerated: "Generated tokens",
    overhead: "Scheduling overhead",
    engineLost: "The engine does not answer: {reason}",
  },
  zh: {
    skip: "跳到输入框", conversations: "对话", close: "关闭",
    newChat: "新对话", model: "模型", baseModels: "模型", view: "视图", chat: "对话",
    split: "并排", engine: "引擎", engineLive: "引擎实时状态", settings: "设置",
    language: "English", switchLanguage: "Switch to English", switchTheme: "配色",
    themeAuto: "自动", themeLight: "浅色", themeDark: "深色",
    welcome: "今天想写点什么？", welcomeNote: "内容只发往这台服务器，不会去别处。",
    suggestion1: "雨燕为什么可以边飞边睡？", suggestion2: "用 Swift 写一个函数，把句子里的单词倒过来",
    suggestion3: "写一条简短友好的会议提醒",
    messages: "消息", latest: "回到最新消息", message: "消息", messageHint: "输入消息",
    sendHint: "Enter 发送，Shift+Enter 换行",
    chances: "概率", chancesHelp: "为新回答的每个词元按概率着色",
    send: "发送", stop: "停止", you: "你", yuyan: "雨燕",
    copy: "复制", edit: "编辑", regenerate: "重新回答", delete: "删除", cancel: "取消",
    resend: "重新发送", showTokens: "显示概率", showText: "显示正文",
    reasoning: "思考过程", reasoningNow: "思考中…", toolCall: "工具调用",
    toolResult: "工具的结果", sendResult: "发送结果", answered: "回答完毕",
    deleteChat: "删除“{title}”", deleteSure: "再按一次以删除", deleteAll: "删除全部对话",
    deleteAllSure: "再按一次，删除 {count} 个对话",
    usage: "{count} 个词元", perSecond: "{rate} 词元/秒", firstToken: "首词元 {time}",
    promptUsage: "提示词 {count}", cachedUsage: "缓存命中 {count}",
    perplexity: "困惑度 {value}", finishLength: "已达长度上限", finishStopped: "已停止",
    waitingModel: "模型正在加载，请稍候…", waiting: "正在等待第一个词元…",
    needKey: "此服务器需要 API 密钥。", enterKey: "填写密钥",
    tooBusy: "服务器正忙。", retryIn: "{seconds} 秒后可重试", retry: "重试",
    unreachable: "无法连接服务器。", connectionLost: "回答尚未完成，连接已中断。",
    systemPrompt: "系统提示", systemHint: "希望模型如何表现，对所有对话生效",
    sampling: "采样", samplingNote: "留空则由服务器决定。",
    temperature: "温度", top_p: "Top p", top_k: "Top k", min_p: "Min p",
    max_tokens: "最多词元数", repetition_penalty: "重复惩罚", seed: "随机种子",
    unset: "默认", stopStrings: "停止字符串，每行一个", extra: "其他请求字段（JSON）",
    extraBad: "不是 JSON 对象，不会发送：{reason}", reset: "恢复服务器默认值",
    adapters: "适配器", noAdapters: "尚未加载适配器。", adapterName: "名称",
    adapterPath: "服务器上的目录", load: "加载", unload: "卸载", loading: "加载中…",
    adapterLoaded: "已加载 {name}。", adapterUnloaded: "已卸载 {name}。",
    apiKey: "API 密钥", keyNote: "关闭此标签页后即清除。",
    tokenNumber: "第 {number} 个词元：{text}，{percent}", others: "其余",
    blockMap: "缓存块", usedBlock: "使用中（按序列着色）", sharedBlock: "共享",
    cachedBlock: "已缓存、空闲", freeBlock: "未使用",
    mapSummary: "共 {total} 块，已用 {used} 块 · 每块 {size}",
    mapLabel: "共 {total} 块：使用中 {used}，已缓存 {cached}，未使用 {free}。可用方向键逐块查看。",
    readFree: "第 {block} 块：未使用", readCached: "第 {block} 块：已缓存、空闲",
    readUsed: "第 {block} 块：序列 {sequence}", readShared: "第 {block} 块：序列 {sequence}，{users} 个使用者",
    runningSequences: "运行中的序列", queueLength: "排队 {count}", nobody: "当前没有运行中的序列。",
    sequence: "序列", promptTokens: "提示", generatedTokens: "已生成", blocks: "块", adapter: "适配器",
    reading: "{done} / {all}",
    tileRate: "生成 词元/秒", tilePrefill: "预填 词元/秒", tileRunning: "运行中",
    tileWaiting: "排队 {count}", tileCache: "已用块", tileUtilization: "块填充率",
    tileFragmentation: "碎片 {share}", tileHits: "前缀缓存命中", tileHitsNote: "{hits} / {queries} 词元",
    tileAccepted: "草稿接受率", tileAcceptedNote: "{accepted} / {drafted}", tileOff: "未启用",
    guessing: "推测解码", guessingOn: "启用，每次 {length} 个", guessingOff: "暂停",
    tileTokens: "{count} 个词元", peak: "峰值 {value}", sinceStart: "启动以来", uptime: "已运行",
    requests: "请求",
    cancelled: "取消", preemptions: "抢占", evicted: "淘汰的块", totalPrompt: "提示词元",
    totalGenerated: "生成词元", overhead: "调度开销", engineLost: "引擎没有回应：{reason}",
  },
};

let current = "en";

/** The language in use, "en" or "zh". */
export const language = () => current;

/** Takes up the remembered language, or the browser's. */
export function startLanguage() {
  const wanted = localStorage.getItem("yuyan.language") ?? navigator.language ?? "en";
  setLanguage(wanted.startsWith("zh") ? "zh" : "en", false);
}

export function setLanguage(name, remember = true) {
  current = name;
  if (remember) localStorage.setItem("yuyan.language", name);
  document.documentElement.lang = name === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-t]")) {
    element.textContent = t(element.dataset.t);
  }
  for (const element of document.querySelectorAll("[data-hint]")) {
    element.placeholder = t(element.dataset.hint);
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", t(element.dataset.label));
    if (element.matches("button")) element.title = t(element.dataset.label);
  }
}

/** The words for a key, with `{name}` replaced by the values. */
export function t(key, values = {}) {
  const text = STRINGS[current][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** A number with the language's separators. */
export function number(value, digits = 0) {
  const options = { maximumFractionDigits: digits, minimumFractionDigits: digits };
  return new Intl.NumberFormat(current, options).format(Number.isFinite(value) ? value : 0);
}

export const percent = (share, digits = 0) => `${number(share * 100, digits)}%`;

/** A time given in seconds: `0.24 s`, `3 min 20 s`, `5 h 2 min`. */
export function duration(seconds) {
  const [second, minute, hour] = current === "zh" ? ["秒", "分", "小时"] : ["s", "min", "h"];
  const whole = Math.floor(seconds);
  if (seconds < 60) return `${number(seconds, seconds < 10 ? 2 : 0)} ${second}`;
  if (whole < 3600) return `${Math.floor(whole / 60)} ${minute} ${whole % 60} ${second}`;
  return `${Math.floor(whole / 3600)} ${hour} ${Math.floor((whole % 3600) / 60)} ${minute}`;
}

"""#),
        WebAsset(
            name: "tokens.js", type: "text/javascript; charset=utf-8", entityTag: "\"bbbb910dc3a8b331\"",
            text: #"""
// The tokens of an answer, tinted by how sure the model was, with the alternatives it weighed.

import { byId, h } from "./dom.js";
import { percent, t } from "./strings.js";

const owners = new WeakMap(); // from a token's element to its entry
let open = null;

/** Appends the tokens that an element does not show yet. */
export function showTokens(element, tokens) {
  for (let index = element.childElementCount; index < tokens.length; index += 1) {
    const [text, logProbability] = tokens[index];
    const chance = Math.exp(logProbability);
    const span = h("span", { class: "token", role: "button", tabindex: index ? "-1" : "0" },
      text.replaceAll("\n", "↵\n"));
    span.style.setProperty("--chance", chance.toFixed(3));
    span.setAttribute("aria-label", t("tokenNumber",
      { number: index + 1, text: visible(text), percent: percent(chance, 1) }));
    owners.set(span, tokens[index]);
    element.append(span);
  }
}

/** Listens for pointer, touch and keys on a container of tokens. */
export function listenForTokens(container) {
  const tokenAt = (event) => event.target.closest?.(".token");
  container.addEventListener("pointerover", (event) => {
    if (event.pointerType === "mouse" && tokenAt(event)) showPopover(tokenAt(event));
  });
  container.addEventListener("pointerout", (event) => {
    if (event.pointerType === "mouse" && open !== document.activeElement) hidePopover();
  });
  container.addEventListener("click", (event) => tokenAt(event)?.focus());
  container.addEventListener("focusin", (event) => tokenAt(event) && showPopover(tokenAt(event)));
  container.addEventListener("focusout", hidePopover);
  container.addEventListener("keydown", (event) => {
    const token = tokenAt(event);
    if (!token) return;
    const next = event.key === "ArrowRight" ? token.nextElementSibling
      : event.key === "ArrowLeft" ? token.previousElementSibling
        : event.key === "Home" ? token.parentElement.firstElementChild
          : event.key === "End" ? token.parentElement.lastElementChild : null;
    if (event.key === "Escape") hidePopover();
    if (!next) return;
    event.preventDefault();
    // Only one token of an answer is a tab stop: the one last visited.
    token.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
  byId("scroller").addEventListener("scroll", hidePopover, { passive: true });
}

function showPopover(token) {
  const entry = owners.get(token);
  if (!entry) return;
  open?.classList.remove("open");
  open = token;
  token.classList.add("open");
  const [text, logProbability, top] = entry;
  const rows = top.some(([other]) => other === text) ? top : [[text, logProbability], ...top];
  const sum = rows.reduce((total, row) => total + Math.exp(row[1]), 0);
  const popover = byId("popover");
  popover.replaceChildren(...rows.map(([other, value]) =>
    alternative(visible(other), Math.exp(value), other === text)));
  if (sum < 0.995) popover.append(alternative(t("others"), Math.max(0, 1 - sum), false, "rest"));
  popover.hidden = false;
  token.setAttribute("aria-describedby", "popover");
  place(popover, token.getClientRects()[0] ?? token.getBoundingClientRect());
}

function alternative(text, chance, chosen, kind = "") {
  const bar = h("i");
  bar.style.width = `${(chance * 100).toFixed(1)}%`;
  return h("div", { class: `alternative ${chosen ? "chosen" : ""} ${kind}` },
    h("span", null, text), h("b", null, chance > 0 && chance < 1e-4 ? `<${percent(1e-4, 2)}`
      : percent(chance, chance < 0.1 ? 2 : 1)), bar);
}

/** Puts the popover above its token, or below where there is no room, inside the window. */
function place(popover, anchor) {
  const { offsetWidth: width, offsetHeight: height } = popover;
  const centred = anchor.left + anchor.width / 2 - width / 2;
  const left = Math.min(Math.max(8, centred), innerWidth - width - 8);
  const top = anchor.top - height - 8 > 8 ? anchor.top - height - 8 : anchor.bottom + 8;
  popover.style.left = `${left}px`;
  popover.style.top = `${top}px`;
}

export function hidePopover() {
  open?.classList.remove("open");
  open?.removeAttribute("aria-describedby");
  open = null;
  byId("popover").hidden = true;
}

/** Shows white space, which would otherwise look like nothing. */
function visible(text) {
  if (text === "") return "∅";
  return text.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥");
}

"""#),]

    static let names = all.map(\.name)
}
