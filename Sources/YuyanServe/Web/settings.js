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
