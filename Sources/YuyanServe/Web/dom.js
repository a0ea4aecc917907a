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
