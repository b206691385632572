// The search form and the three views: sightings, route, case.

import { chosenArea, drawArea } from "./area.js";
import { chosenAttributes, foldAttributes, nameOfGroup, openQuestion } from "./attributes.js";
import "./boxes.js";
import { chosenCase, readCase, sightingsAwaiting, sightingsJudged } from "./cases.js";
import "./corrections.js";
import { hideCoverage, showCoverage } from "./coverage.js";
import { $, all, say, words } from "./dom.js";
import "./emergencies.js";
import { showNext } from "./next.js";
import "./footage.js";
import { readQuestion } from "./handover.js";
import { chosenBoxes, chosenPhotos, clearPhotos, named, showSearched } from "./photos.js";
import "./quick_times.js";
import { showRoute } from "./route.js";
import { chosenSeen, drawSeen } from "./seen.js";
import "./sentence.js";
import { attempt, fetchJson } from "./service.js";
import { showSheets } from "./sheets.js";
import { allSent, showHits, showJudged } from "./sightings.js";
import { moment, placeOf, timeOf } from "./times.js";
import "./trail.js";
import { offerWatch, showWatches } from "./watch.js";

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
  if (caseField.value && !reason()) reasonField.focus(); // what is typed next
  running.abort(); // its sightings would belong to the previous case
  showNothing();
  attempt(async () => {
    await readCase();
    await readQuestion();
    await show(chosenCase().id && view() === "case" ? "case" : "results");
  });
});
document.addEventListener("verdict", () => {
  $("[data-view=route]").disabled = Boolean(chosenCase().closed) || !sightingsJudged("confirmed").length;
  $("[data-view=next]").disabled = !chosenCase().id || Boolean(chosenCase().closed);
  $("[data-view=case]").disabled = !chosenCase().id;
  const { length } = chosenCase().to_judge;
  $("#to-judge").hidden = !length;
  $("#to-judge span").textContent = say(words.to_judge, { number: length });
});
$("#to-judge button").addEventListener("click", () => $("[data-view=case]").click());

addEventListener("beforeprint", () => {
  const { id, title } = chosenCase();
  const about = id && [`${id} · ${title}`, reason(), account, timeOf({}, Date.now())];
  $("#printed").textContent = about ? about.filter(Boolean).join(" · ") : "";
});

$("#sign-out").addEventListener("submit", () => sessionStorage.clear());

// --- views ---

const view = () => $("[data-view][aria-current]").dataset.view;

async function show(name) {
  await allSent();
  if (name === "route") await readRoute();
  if (name === "next") await readNext();
  if (name === "case") {
    await readCase();
    showJudged();
    await Promise.all([readQuestion(), showWatches(), showSheets()]);
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
$("#fill").addEventListener("change", () => attempt(readRoute));

// --- searches and routes ---

const reason = () => reasonField.value.trim();

async function readRoute() {
  if (!reason()) throw new Error(words.no_case);
  await showRoute(reason(), filters(), chosenSeen());
}

async function readNext() {
  if (!reason()) throw new Error(words.no_case);
  await showNext(reason(), chosenSeen());
}

/** The chosen cameras (district/camera), area and times; fields that are not filled in are absent. */
function filters() {
  const area = chosenArea();
  const cameras = all("[name=cameras]:checked").map(({ value }) => value);
  const times = ["since", "until"].filter((name) => form.elements[name].value);
  for (const name of times) {
    const year = Number(form.elements[name].value.split("-")[0]);
    if (year < 1900 || year > 2199) throw new Error(words[`refused_field_${name}`]);
  }
  return {
    ...(cameras.length ? { cameras } : {}),
    ...(area ? { area } : {}),
    ...Object.fromEntries(times.map((name) => [name, moment(form.elements[name].value, name === "until")])),
  };
}

/**
 * The search that the form describes: its fields to send, attributes and photos. With `like`, a sighting, it is for
 * those that resemble this one, in the form's area and times. Throws if it is incomplete.
 */
function describedSearch(like) {
  const fields = new FormData(); // photos come last, as the largest fields
  const attributes = like ? {} : chosenAttributes();
  const photos = like ? [] : chosenPhotos();
  if (!caseField.value || !reason()) throw new Error(words.no_case);
  if (chosenCase().closed) throw new Error(words.refused_case_closed);
  fields.set("case", caseField.value);
  fields.set("reason", reason());
  fields.set("top_k", more.dataset.topK);
  if (Object.keys(attributes).length) fields.set("attributes", JSON.stringify(attributes));
  if (like) fields.set("like", JSON.stringify([{ district: like.district, tracklet_id: like.tracklet_id }]));
  else if (form.elements["use-verdicts"].checked) {
    for (const verdict of ["confirmed", "rejected"]) {
      const judged = sightingsJudged(verdict);
      if (judged.length) fields.set(verdict, JSON.stringify(judged));
    }
    const awaiting = sightingsAwaiting(); // searched for, though they do not count yet
    if (awaiting.length) fields.set("like", JSON.stringify(awaiting));
  }
  if (!photos.length && !["attributes", "confirmed", "like"].some((name) => fields.has(name))) throw new Error(words.refused_no_question);
  const seen = chosenSeen();
  if (seen.length) fields.set("seen_at", JSON.stringify(seen));
  const { area, ...others } = filters();
  if (area) fields.set("area", JSON.stringify(area));
  for (const [name, value] of Object.entries(others)) fields.set(name, value);
  if (photos.length && chosenBoxes()) fields.set("people_xyxy", JSON.stringify(chosenBoxes()));
  for (const photo of photos) fields.append("photo", photo);
  return { fields, attributes, photos };
}

offerWatch(describedSearch);

let running = new AbortController();
let shown; // the search whose sightings are in view

function showNothing() {
  sessionStorage.removeItem("answer");
  showHits([]);
  hideCoverage();
  showNextQuestion(null);
  more.hidden = true;
}

function showAnswer(answer, isByPhoto, attributes) {
  $("#steps").hidden = true;
  showHits(answer.sightings, isByPhoto ? words.probability_by_photo : words.probability_by_attributes, attributes);
  showCoverage(answer.coverage);
  showNextQuestion(answer.next_question);
}

const account = document.body.dataset.account;

/** Keeps the answer while this tab is open, for the page in the other language and after the next sign-in. */
function keepAnswer(kept) {
  try {
    sessionStorage.setItem("answer", JSON.stringify(kept));
  } catch {
    sessionStorage.removeItem("answer"); // it is longer than the browser keeps
  }
}

/** Shows the kept answer again, if it is of this account and case. */
function showKept() {
  const kept = JSON.parse(sessionStorage.getItem("answer") ?? "null");
  if (kept?.account !== account || kept.case !== caseField.value || !kept.case) return;
  showAnswer(kept.answer, kept.isByPhoto, kept.attributes);
  $("#status").textContent = words.found_before;
}

/** Starts `work` and stops the search that still runs. */
function start(work) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  attempt(() => {
    $("#status").textContent = words.searching;
    return work(signal);
  });
}

async function search({ fields, attributes, photos }, signal) {
  const answer = await fetchJson("v1/search", { method: "POST", body: fields, signal }).catch((error) => {
    throw named(error, photos);
  });
  await show("results");
  const isByPhoto = Boolean(photos.length || fields.has("confirmed") || fields.has("like"));
  showAnswer(answer, isByPhoto, attributes);
  keepAnswer({ account, case: caseField.value, answer, isByPhoto, attributes });
  showSearched(photos, answer.people_xyxy, answer.detected_xyxy);
  if (matchMedia("(max-width: 900px)").matches) $(".answer").scrollIntoView();
  const { length } = answer.sightings;
  const topK = Number(fields.get("top_k"));
  more.hidden = length < topK || topK >= Number(more.dataset.most);
  $("#status").textContent = length ? say(words.found, { number: length }) : words.nothing_found;
}

function showNextQuestion(question) {
  $("#next-question").hidden = !question;
  if (!question) return;
  $("#next-question span").textContent = say(words.next_question, { group: nameOfGroup(question.group) });
  $("#next-question button").onclick = () => openQuestion(question.group);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  start(async (signal) => {
    await allSent(); // what was found stays in view until the answer is here
    await readCase({ signal }); // others may have given verdicts meanwhile
    shown = describedSearch();
    await search(shown, signal);
  });
});

document.addEventListener("like", ({ detail }) =>
  start(async (signal) => {
    await allSent();
    shown = describedSearch(detail);
    await search(shown, signal);
    const time = timeOf(detail, detail.first_seen);
    $("#status").textContent = say(words.found_like, { place: placeOf(detail), time });
  }),
);

more.addEventListener("click", () => // the same search for twice as many sightings
  start(async (signal) => {
    const before = $("#hits").children.length;
    shown.fields.set("top_k", Math.min(2 * before, Number(more.dataset.most)));
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
    drawSeen();
  });
  clearPhotos();
});

if (caseField.value) {
  attempt(async () => {
    await readCase();
    await readQuestion();
    showKept();
  });
}
