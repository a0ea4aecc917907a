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
