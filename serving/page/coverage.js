// What a search could see: a sentence over its results, and of each camera the times, asked for when they are unfolded.

import { $, ask, attempt, element, percent, placeOf, say, timeOf, timesOf, words } from "./asking.js";

const FULL = 0.999; // a share that counts as all of the time
const box = $("#coverage");
let asked = ""; // the cameras and times of the search, as an address takes them

/** Say what `coverage`, of a search's answer, tells; `filters` are its cameras and times. */
export function showCoverage(coverage, filters) {
  const { cameras, since, until, share } = coverage;
  const count = (name) => cameras.reduce((sum, camera) => sum + camera[name], 0);
  const isFull = share >= FULL && !count("num_waiting") && !count("num_failed") && !count("num_gaps");
  const hours = since ? (cameras.length * (Date.parse(until) - Date.parse(since))) / 3.6e6 : 0;
  const inHours = (value) => (value < 10 ? value.toFixed(1) : Math.round(value));
  asked = filters;
  box.open = false;
  box.hidden = false;
  box.classList.toggle("warning", !isFull);
  const sentence = since
    ? say(words.covered, cameras.length, timesOf({}, since, until), inHours(hours), inHours(hours * share), percentDown(share))
    : words.noVideo;
  const missing = say(words.notCovered, count("num_gaps"), count("num_waiting"), count("num_failed"));
  $("summary", box).replaceChildren(
    element("span", { textContent: sentence }),
    element("strong", { textContent: isFull ? words.allCovered : `⚠ ${missing}` }),
  );
}

export const hideCoverage = () => (box.hidden = true);

const percentDown = (fraction) => percent(Math.floor(100 * fraction + 1e-9) / 100); // 99.9 % is not all

box.addEventListener("toggle", () => {
  if (box.open) attempt(async () => $("tbody", box).replaceChildren(...(await ask(`v1/coverage?${asked}`)).cameras.map(row)));
});

function row(camera) {
  const missing = [[camera.gaps, words.gap], [camera.waiting, words.waiting], [camera.failed, words.unusable]];
  const pieces = missing.flatMap(([spans, kind]) => spans.map((span) => piece(camera, span, kind)));
  const none = camera.searched.length ? [] : [element("li", { textContent: words.noRecording })];
  return element(
    "tr", { className: camera.share < FULL ? "incomplete" : "" },
    element("td", { textContent: placeOf(camera) }),
    element("td", { textContent: percentDown(camera.share) }),
    element("td", {}, element("ul", {}, ...camera.searched.map((span) => piece(camera, span)))),
    element("td", {}, element("ul", {}, ...none, ...pieces)),
  );
}

function piece(camera, { since, until, reason }, kind = "") {
  const times = until ? timesOf(camera, since, until) : `${timeOf(camera, since)} – ${words.untilNow}`;
  return element("li", {}, kind && `${kind} `, times, reason && element("small", { lang: "en", textContent: ` ${reason}` }));
}
