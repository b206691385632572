// The form, and which of its three answers is in view: sightings, route or case.

import { chosenArea, drawArea } from "./area.js";
import { $, all, ask, attempt, moment, say, words } from "./asking.js";
import { askedAttributes, foldAttributes } from "./attributes.js";
import { chosenCase, readCase, sightingsJudged } from "./cases.js";
import { hideCoverage, showCoverage } from "./coverage.js";
import { chosenPhotos, clearPhotos, pointedAt, showSearched } from "./photos.js";
import { showRoute } from "./route.js";
import { allSent, showHits, showJudged } from "./sightings.js";

const form = $("#search");
const more = $("#more");
const { case: caseField, reason: reasonField } = form.elements;

// --- the case ---

for (const field of [caseField, reasonField]) {
  const kept = sessionStorage.getItem(field.name);
  if (kept && (field === reasonField || all("option", field).some(({ value }) => value === kept))) field.value = kept;
  field.addEventListener("change", () => sessionStorage.setItem(field.name, field.value));
}
caseField.addEventListener("change", () => {
  running.abort(); // what was found was found for another case
  showNothing();
  attempt(async () => {
    await readCase();
    await show(chosenCase().id && view() === "case" ? "case" : "results");
  });
});
document.addEventListener("verdict", () => {
  $("[data-view=route]").disabled = Boolean(chosenCase().closed) || !sightingsJudged("confirmed").length;
  $("[data-view=case]").disabled = !chosenCase().id;
});

// --- views ---

const view = () => $("[data-view][aria-current]").dataset.view;

async function show(name) {
  await allSent();
  if (name === "route") await askRoute();
  if (name === "case") {
    await readCase();
    showJudged();
  }
  for (const button of all("[data-view]")) {
    if (button.dataset.view === name) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
    $(`#${button.dataset.view}`).hidden = button.dataset.view !== name;
  }
}

for (const button of all("[data-view]")) {
  button.addEventListener("click", () =>
    attempt(async () => {
      await show(button.dataset.view);
      $(`#${button.dataset.view}`).focus();
    }),
  );
}
$("#fill").addEventListener("change", () => attempt(askRoute));

// --- asking ---

const reason = () => reasonField.value.trim();

async function askRoute() {
  if (!reason()) throw new Error(words.no_case);
  await showRoute(reason(), filters());
}

/** Chosen cameras, a list of district/camera, the area and the times, as far as they are given. */
function filters() {
  const area = chosenArea();
  const cameras = all("[name=cameras]:checked").map(({ value }) => value);
  const times = ["since", "until"].filter((name) => form.elements[name].value);
  return {
    ...(cameras.length ? { cameras } : {}),
    ...(area ? { area } : {}),
    ...Object.fromEntries(times.map((name) => [name, moment(form.elements[name].value)])),
  };
}

/** A search: its form, of which photos are the last, as they are the largest; what it is by, and its attributes. */
function question() {
  const asked = new FormData();
  const attributes = askedAttributes();
  const photos = chosenPhotos();
  if (!caseField.value || !reason()) throw new Error(words.no_case);
  if (chosenCase().closed) throw new Error(words.case_is_closed);
  asked.set("case", caseField.value);
  asked.set("reason", reason());
  asked.set("top_k", more.dataset.topK);
  if (Object.keys(attributes).length) asked.set("attributes", JSON.stringify(attributes));
  if (form.elements["use-verdicts"].checked) {
    for (const verdict of ["confirmed", "rejected"]) {
      const judged = sightingsJudged(verdict);
      if (judged.length) asked.set(verdict, JSON.stringify(judged));
    }
  }
  if (!photos.length && !asked.has("attributes") && !asked.has("confirmed")) throw new Error(words.no_question);
  const { area, ...others } = filters();
  if (area) asked.set("area", JSON.stringify(area));
  for (const [name, value] of Object.entries(others)) asked.set(name, value);
  if (pointedAt()) asked.set("people_xyxy", JSON.stringify(pointedAt()));
  for (const photo of photos) asked.append("photo", photo);
  return { asked, attributes, photos };
}

let running = new AbortController();
let shown; // the question whose answer is in view

function showNothing() {
  showHits([]);
  hideCoverage();
  more.hidden = true;
}

/** Starts `work` in place of what is being asked. */
function start(work) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  attempt(() => {
    $("#status").textContent = words.searching;
    return work(signal);
  });
}

async function search({ asked, attributes, photos }, signal) {
  const answer = await ask("v1/search", { method: "POST", body: asked, signal });
  await show("results");
  $("#steps").hidden = true;
  showHits(answer.sightings, photos.length || asked.has("confirmed") ? words.probability_by_photo : words.probability_by_attributes, attributes);
  showCoverage(answer.coverage);
  showSearched(photos, answer.people_xyxy);
  const { length } = answer.sightings;
  const topK = Number(asked.get("top_k"));
  more.hidden = length < topK || topK >= Number(more.dataset.most);
  $("#status").textContent = length ? say(words.found, { number: length }) : words.nothing_found;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  start(async (signal) => {
    showNothing();
    await allSent();
    await readCase({ signal }); // others judge as well
    shown = question();
    await search(shown, signal);
  });
});

more.addEventListener("click", () => // the same question, for twice as many
  start(async (signal) => {
    const before = $("#hits").children.length;
    shown.asked.set("top_k", Math.min(2 * before, Number(more.dataset.most)));
    await search(shown, signal);
    $(`#hits > :nth-child(${before + 1})`)?.focus();
  }),
);

form.addEventListener("reset", () => {
  const kept = [caseField.value, reasonField.value];
  setTimeout(() => {
    [caseField.value, reasonField.value] = kept;
    foldAttributes();
    drawArea();
  });
  clearPhotos();
});

if (caseField.value) attempt(readCase);
