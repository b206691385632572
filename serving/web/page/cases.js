// The chosen case: its facts, its verdicts, and a reviewer's actions on it.

import { $, all, say, words } from "./dom.js";
import { attempt, fetchJson, json } from "./service.js";
import { timeOf } from "./times.js";

const NO_CASE = { id: null, closed: null, verdicts: [], given: new Map() };
const field = $("[name=case]");
const names = (text) => text.split(",").map((name) => name.trim()).filter(Boolean);
let chosen = NO_CASE;

/** The case with its stored `verdicts`, and `given`: key of a sighting -> verdict as the page shows it. */
export const chosenCase = () => chosen;
export const keyOf = ({ district, tracklet_id }) => `${district}/${tracklet_id}`;

/** Sightings with this verdict, without those known to be removed from the store. */
export function sightingsJudged(verdict) {
  const removed = new Set(chosen.verdicts.filter((one) => one.camera_id === null).map(keyOf));
  return [...chosen.given]
    .filter(([key, given]) => given === verdict && !removed.has(key))
    .map(([key]) => {
      const cut = key.lastIndexOf("/");
      return { district: key.slice(0, cut), tracklet_id: Number(key.slice(cut + 1)) };
    });
}

export function setVerdict(sighting, verdict) {
  if (verdict === "none") chosen.given.delete(keyOf(sighting));
  else chosen.given.set(keyOf(sighting), verdict);
  const [confirmed, rejected] = ["confirmed", "rejected"].map((each) => sightingsJudged(each).length);
  $("#status").textContent = say(words.judged, { confirmed, rejected });
  document.dispatchEvent(new Event("verdict"));
}

/** Reads the case that is chosen in the form. */
export async function readCase(request) {
  const read = field.value ? await fetchJson(`v1/cases/${field.value}`, request) : NO_CASE;
  chosen = { ...read, given: new Map(read.verdicts.map((one) => [keyOf(one), one.verdict])) };
  showFacts();
  document.dispatchEvent(new Event("verdict"));
}

function showFacts() {
  if (!chosen.id) return;
  const opened = say(words.opened, { time: timeOf({}, chosen.opened) });
  const closed = chosen.closed && say(words.closed, { time: timeOf({}, chosen.closed) });
  $("#case-title").textContent = `${chosen.id} · ${chosen.title}`;
  $("#case-facts").textContent = [opened, closed, chosen.operators.join(", ")].filter(Boolean).join(" · ");
  $("#on-hold").hidden = !chosen.legal_hold;
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
    const { id } = await fetchJson("v1/cases", json({ title, operators: names($("#operators").value) }));
    field.insertBefore(new Option(`${id} · ${title}`, id, true, true), $("#closed-cases"));
    field.dispatchEvent(new Event("change"));
    $("#title").value = $("#operators").value = "";
    $("#title").closest("details").open = false;
  }),
);
$("#title")?.closest("details").addEventListener("toggle", ({ target }) => target.open && $("#title").focus());
for (const name of ["#title", "#operators"]) {
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
