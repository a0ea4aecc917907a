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
