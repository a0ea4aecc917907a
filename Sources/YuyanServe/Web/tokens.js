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
