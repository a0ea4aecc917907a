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
