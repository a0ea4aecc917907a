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
