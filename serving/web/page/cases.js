// The chosen case: its facts, its verdicts, and a reviewer's actions on it.

import { $, all, say, words } from "./dom.js";
import { attempt, fetchJson, json } from "./service.js";
import { timeOf } from "./times.js";

const NO_CASE = { id: null, closed: null, second_person: false, verdicts: [], to_judge: [], corrections: [], boxes: [], given: new Map(), counted: new Map() };
const field = $("[name=case]");
const names = (text) => text.split(",").map((name) => name.trim()).filter(Boolean);
let chosen = NO_CASE;

/**
 * The case with its stored `verdicts`; `given`: key of a sighting -> verdict as the page shows it; `counted`: key ->
 * what all verdicts come to, which is another where a second person's verdict is missing.
 */
export const chosenCase = () => chosen;
export const keyOf = ({ district, tracklet_id }) => `${district}/${tracklet_id}`;

/** Sightings that count as `verdict`, without those known to be removed from the store. */
export const sightingsJudged = (verdict) => sightingsIn(chosen.counted, verdict);

/** Sightings that the operator confirmed and that await a second person, likewise. */
export const sightingsAwaiting = () =>
  sightingsIn(chosen.given, "confirmed").filter((one) => chosen.counted.get(keyOf(one)) === "open");

function sightingsIn(judged, verdict) {
  const removed = new Set(chosen.verdicts.filter((one) => one.camera_id === null).map(keyOf));
  return [...judged]
    .filter(([key, given]) => given === verdict && !removed.has(key))
    .map(([key]) => {
      const cut = key.lastIndexOf("/");
      return { district: key.slice(0, cut), tracklet_id: Number(key.slice(cut + 1)) };
    });
}

/** Notes the verdict that the operator gives, and what it counts as: by default the verdict itself. */
export function setVerdict(sighting, verdict, standing = chosen.second_person ? "open" : verdict) {
  const key = keyOf(sighting);
  if (verdict === "none") chosen.given.delete(key);
  else chosen.given.set(key, verdict);
  if (verdict === "none" && standing !== "confirmed") chosen.counted.delete(key);
  else chosen.counted.set(key, standing);
  if (verdict !== "none") chosen.to_judge = chosen.to_judge.filter((one) => keyOf(one) !== key);
  const [confirmed, rejected] = ["confirmed", "rejected"].map((each) => sightingsJudged(each).length);
  $("#status").textContent = say(words.judged, { confirmed, rejected });
  document.dispatchEvent(new Event("verdict"));
}

/** Adds a case to those that can be chosen, and chooses it. */
export const offerCase = (id, title) =>
  field.insertBefore(new Option(`${id} · ${title}`, id, true, true), $("#closed-cases"));

/** Labels that people gave a sighting in this case: group -> label. */
export const correctedOf = (sighting) =>
  Object.fromEntries(chosen.corrections.filter((one) => keyOf(one) === keyOf(sighting)).map(({ group, label }) => [group, label]));

/** Reads the case that is chosen in the form. */
export async function readCase(request) {
  const read = field.value ? await fetchJson(`v1/cases/${field.value}`, request) : NO_CASE;
  const mapped = (name) => new Map(read.verdicts.map((one) => [keyOf(one), one[name]]));
  chosen = { ...read, given: mapped("verdict"), counted: mapped("standing") };
  showFacts();
  document.dispatchEvent(new Event("verdict"));
}

function showFacts() {
  if (!chosen.id) return;
  const opened = say(words.opened, { time: timeOf({}, chosen.opened) });
  const closed = chosen.closed && say(words.closed, { time: timeOf({}, chosen.closed) });
  $("#case-title").textContent = `${chosen.id} · ${chosen.title}`;
  $("#case-facts").textContent = [opened, closed, chosen.districts?.join(", "), chosen.operators.join(", ")].filter(Boolean).join(" · ");
  $("#on-hold").hidden = !chosen.legal_hold;
  $("#by-two").hidden = !chosen.second_person;
  const { emergency } = chosen;
  const told = emergency && { ...emergency, time: timeOf({}, emergency.agree_by) };
  $("#emergency").textContent = told ? say(told.agreed_by ? words.emergency_agreed : words.emergency_until, told) : "";
  if (!$("#hold")) return; // not a reviewer
  $("#hold").checked = chosen.legal_hold;
  $("#case-operators").value = chosen.operators.join(", ");
  $("#export-case").href = `v1/cases/${chosen.id}/export`;
  $("#closing").hidden = Boolean(chosen.closed);
  $("#closing").open = false;
}

/** Changes the case and shows the changed case. */
const change = (path, request) =>
  attempt(async () => {
    await fetchJson(`v1/cases/${chosen.id}/${path}`, request);
    await readCase();
    $("#status").textContent = words.saved;
  }).finally(showFacts);

$("#open-case")?.addEventListener("click", () =>
  attempt(async () => {
    const title = $("#title").value.trim();
    if (!title) throw new Error(words.no_title);
    const [operators, districts] = ["#operators", "#case-districts"].map((field) => names($(field).value));
    const { id } = await fetchJson("v1/cases", json({ title, operators, districts: districts.length ? districts : null }));
    offerCase(id, title);
    field.dispatchEvent(new Event("change"));
    $("#title").value = $("#operators").value = $("#case-districts").value = "";
    $("#title").closest("details").open = false;
  }),
);
$("#title")?.closest("details").addEventListener("toggle", ({ target }) => target.open && $("#title").focus());
for (const name of ["#title", "#operators", "#case-districts"]) {
  $(name)?.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault(); // it would search
    $("#open-case").click();
  });
}
$("#hold")?.addEventListener("change", () => change("legal-hold", json({ held: $("#hold").checked }, "PUT")));
$("#name-operators")?.addEventListener("click", () =>
  change("operators", json({ operators: names($("#case-operators").value) }, "PUT")),
);
$("#close-case")?.addEventListener("click", async () => {
  await change("close", { method: "POST" });
  const option = all("option", field).find(({ value }) => value === String(chosen.id));
  if (chosen.closed) $("#closed-cases").prepend(option);
  field.value = String(chosen.id);
  field.dispatchEvent(new Event("change"));
});
