// The trail of a sighting, in a dialog: models that made it and models added for searches, with versions, runs, data, commits.

import { chosenCase } from "./cases.js";
import { $, element, say, words } from "./dom.js";
import { attempt, fetchJson, json } from "./service.js";
import { placeOf, timeOf, timesOf } from "./times.js";

const TASKS = { detector: words.trail_detector, attributes: words.trail_attributes, reid: words.trail_reid };
const ORDER = Object.keys(TASKS); // as they look at a picture
const GATE = { passed: words.trail_gate_passed, "first champion": words.trail_gate_first };
const CHANGE = "change of "; // begins the name of a figure, as domain/registered.py says

const dialog = $("#trail");
const problem = $("#trail-problem");
const reason = () => $("[name=reason]").value.trim();
let closing = new AbortController();

/** Opens the dialog for a sighting. Throws if the reason for looking is missing. */
async function open(seen) {
  if (!reason()) throw new Error(words.no_case);
  closing = new AbortController();
  problem.hidden = true;
  $("#trail-place").textContent = `${placeOf(seen)} · ${timesOf(seen, seen.first_seen, seen.last_seen)}`;
  $("#trail-status").textContent = words.trail_loading;
  $("#trail-of").textContent = "";
  $("#trail-models").replaceChildren();
  dialog.showModal();
  await show(seen);
}

async function show(seen) {
  const address = `v1/trail/${encodeURIComponent(seen.district)}/${seen.tracklet_id}`;
  const asked = json({ case: chosenCase().id, reason: reason() });
  try {
    const trail = await fetchJson(address, { ...asked, signal: closing.signal });
    fill(trail, seen);
  } catch (error) {
    if (error.name === "AbortError") return; // it was closed
    problem.replaceChildren(error.message, " ", element("small", { textContent: error.cause ?? "", lang: "en" }));
    problem.hidden = false;
  }
  $("#trail-status").textContent = "";
}

/** Shows a card for each model: those that processed the video first, in the order in which they look at a picture. */
function fill({ district, tracklet_id, deployment_version: version, models }, seen) {
  const number = `${district}/${tracklet_id}`;
  $("#trail-of").textContent = say(words.trail_of, { number, version: version ?? words.trail_unknown });
  const place = ({ has_made_it: hasMade, task }) => (hasMade ? 0 : ORDER.length) + ORDER.indexOf(task);
  const ordered = models.toSorted((one, other) => place(one) - place(other));
  $("#trail-models").replaceChildren(...ordered.map((model) => card(model, seen)));
}

/** A model, with all that is known of it. */
function card({ task, model_version: version, has_made_it: hasMade, origin }, seen) {
  const title = element("h3", {}, TASKS[task] ?? task, " · ", code(version));
  const when = element("p", { className: "hint", textContent: hasMade ? words.trail_made : words.trail_added });
  const item = element("article", { className: hasMade ? "" : "added" }, title, when);
  if (!origin) {
    item.append(element("p", { textContent: words.trail_unrecorded }));
    return item;
  }
  const list = element("dl");
  for (const [name, value] of facts(origin, seen)) {
    list.append(element("dt", { textContent: name }), element("dd", {}, value));
  }
  item.append(list);
  return item;
}

/** Names and values, in the order from the decision back to the code. */
function facts({ registered, source, ...origin }, seen) {
  const known = (value) => (value ? code(value) : words.trail_unknown);
  const counts = Object.entries(registered?.data_counts ?? {}).sort().map(([name, number]) => `${name} ${number}`);
  const { district, data_hash: hash } = origin;
  return [
    [words.trail_registered, registered ? registeredAs(registered) : words.trail_unregistered],
    ...(registered ? promotion(registered.promotion, seen) : []),
    [words.trail_run, known(origin.mlflow_run)],
    [words.trail_data, element("span", {}, `${district} · `, known(hash))],
    ...(counts.length ? [[words.trail_counts, english(counts.join(", "))]] : []),
    [words.trail_commit, known(origin.git_revision)],
    ...(source ? [[words.trail_source, source]] : []),
  ];
}

/** Who let the model be used, when and why, and what the comparison with the one before said. */
function promotion(said, seen) {
  const { promoted_by: by, promoted_at: at, promoted_because: because, gate, verdict_reason: why = "", compared_with: other } = said;
  const changes = Object.entries(said).filter(([name, change]) => name.startsWith(CHANGE) && !why.includes(change));
  const rows = [
    [words.trail_promoted, [at && timeOf(seen, at), by].filter(Boolean).join(" · ")],
    [words.trail_because, because],
    [words.trail_gate, gate && element("span", {}, GATE[gate] ?? english(gate), why && " · ", english(why))],
    [words.trail_override, said.override],
    [words.trail_compared, other && code(other)],
    [words.trail_figures, changes.length && english(changes.map(([, change]) => change).join("\n"))],
  ];
  return rows.filter(([, value]) => value);
}

const registeredAs = ({ registered_model: model, registered_version: version }) => say(words.trail_version, { model, version });
const code = (text) => element("code", { textContent: text });
const english = (text) => element("span", { textContent: text, lang: "en", className: "lines" });

document.addEventListener("trail", ({ detail }) => attempt(() => open(detail)));
$("#close-trail").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => closing.abort());
