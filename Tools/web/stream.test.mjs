// The page's reader of event streams, and its words, in Node: `node --test Tools/web/`.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { EventParser, addChunk } from "../../Sources/YuyanServe/Web/stream.js";
import { STRINGS } from "../../Sources/YuyanServe/Web/strings.js";

const WEB = new URL("../../Sources/YuyanServe/Web/", import.meta.url);

test("events are the same however the text is cut", () => {
  const text = "data: {\"a\":1}\n\n: ping\n\ndata:two\r\ndata: lines\r\n\r\n"
    + "event: x\ndata: 中文\n\ndata: [DONE]\n\n";
  const expected = ["{\"a\":1}", "two\nlines", "中文", "[DONE]"];
  for (let size = 1; size <= text.length; size += 1) {
    const parser = new EventParser();
    const events = [];
    for (let at = 0; at < text.length; at += size) {
      events.push(...parser.push(text.slice(at, at + size)));
    }
    assert.deepEqual(events, expected, `pieces of ${size}`);
  }
});

test("an event that is not complete is not given out", () => {
  const parser = new EventParser();
  assert.deepEqual(parser.push("data: half"), []);
  assert.deepEqual(parser.push("\n"), []);
  assert.deepEqual(parser.push("\n"), ["half"]);
});

test("chunks add up to a message", () => {
  const message = { content: "" };
  const choice = (delta, more = {}) => ({ choices: [{ index: 0, delta, ...more }], usage: null });
  assert.equal(addChunk(message, choice({ role: "assistant", content: "" })), false);
  assert.equal(addChunk(message, choice({ reasoning_content: "hm" })), true);
  addChunk(message, choice({ content: "Hel" }));
  addChunk(message, choice({ content: "lo" }));
  addChunk(message, choice({}, { finish_reason: "stop" }));
  addChunk(message, { choices: [], usage: { prompt_tokens: 3, completion_tokens: 2,
    prompt_tokens_details: { cached_tokens: 1 } } });
  assert.deepEqual(message, { content: "Hello", reasoning: "hm", finish: "stop",
    usage: { prompt: 3, completion: 2, cached: 1 } });
});

test("fragments of tool calls join by their index", () => {
  const message = { content: "" };
  const piece = (index, more) =>
    addChunk(message, { choices: [{ delta: { tool_calls: [{ index, ...more }] } }] });
  piece(0, { id: "c0", function: { name: "f", arguments: "" } });
  piece(0, { function: { arguments: "{\"a\":" } });
  piece(1, { id: "c1", function: { name: "g", arguments: "{}" } });
  piece(0, { function: { arguments: "1}" } });
  assert.deepEqual(message.toolCalls, [{ id: "c0", name: "f", arguments: "{\"a\":1}" },
    { id: "c1", name: "g", arguments: "{}" }]);
});

test("log-probabilities keep alternatives, and bytes of half characters", () => {
  const message = { content: "" };
  const half = { token: "\ufffd", bytes: [0xe9, 0x9b], logprob: -1 };
  addChunk(message, { choices: [{ delta: { content: "" }, logprobs: { content: [
    { ...half, top_logprobs: [half, { token: "a", bytes: [97], logprob: -2 }] }] } }] });
  assert.deepEqual(message.tokens, [["⟨e9 9b⟩", -1, [["⟨e9 9b⟩", -1], ["a", -2]]]]);
});

test("both languages have the same words, and the page asks for no others", () => {
  assert.deepEqual(Object.keys(STRINGS.zh).sort(), Object.keys(STRINGS.en).sort());
  for (const key of Object.keys(STRINGS.en)) {
    const names = (text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
    assert.deepEqual(names(STRINGS.zh[key]), names(STRINGS.en[key]), key);
  }
  const html = readFileSync(new URL("index.html", WEB), "utf8");
  for (const [, key] of html.matchAll(/data-(?:t|label|hint)="(\w+)"/g)) {
    assert.ok(STRINGS.en[key], key);
  }
});

test("the page names no outside address, no inline code, and only ids that exist", () => {
  const html = readFileSync(new URL("index.html", WEB), "utf8");
  assert.doesNotMatch(html, /https?:\/\/|<style|\sstyle=|\son\w+=|<script(?![^>]*src=)/);
  const ids = new Set([...html.matchAll(/\sid="([\w-]+)"/g)].map((match) => match[1]));
  let bytes = 0;
  for (const name of readdirSync(WEB)) {
    const text = readFileSync(new URL(name, WEB), "utf8");
    bytes += Buffer.byteLength(text);
    assert.doesNotMatch(text, /innerHTML =|insertAdjacentHTML|\beval\(|new Function/, name);
    const named = (expression) => [...text.matchAll(expression)].map((match) => match[1]);
    for (const id of named(/byId\("([\w-]+)"\)/g)) assert.ok(ids.has(id), `${name}: ${id}`);
    for (const id of named(/(?:icon|iconButton)\("([\w-]+)"/g)) assert.ok(ids.has(`i-${id}`), id);
    for (const key of named(/\bt\("(\w+)"/g)) assert.ok(STRINGS.en[key], `${name}: ${key}`);
  }
  assert.ok(bytes < 120_000, `${bytes} bytes`);
});
