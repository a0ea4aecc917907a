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
