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
