// Coverage of a search: a sentence above its results, which unfolds to the times of each camera.

import { $, element, percent, say, words } from "./dom.js";
import { placeOf, timeOf, timesOf } from "./times.js";

const HOUR_MS = 3.6e6;
const FULL = 0.999; // from this share on, all of the time counts as covered
const box = $("#coverage");

/** Shows the `coverage` of a search's answer. */
export function showCoverage({ cameras: all, since, until, share, thin_share }) {
  const cameras = all.filter(({ has_video }) => has_video);
  const silent = all.filter(({ has_video }) => !has_video);
  const kinds = [["gaps", words.gap], ["waiting", words.waiting], ["failed", words.unusable]];
  const rates = cameras.flatMap((camera) => camera.thin.map((span) => span.looks_per_s));
  const count = (name) => cameras.reduce((sum, camera) => sum + camera[name].length, 0);
  const counted = kinds.filter(([name]) => count(name)).map(([name, kind]) => `${kind} ${count(name)}`);
  const isMissing = counted.length || share + thin_share < FULL;
  const isFull = !isMissing && !rates.length;
  const whole = cameras.reduce((sum, camera) => sum + Date.parse(camera.until) - Date.parse(camera.since), 0);
  box.open = false;
  box.hidden = false;
  box.classList.toggle("warning", !isFull);
  const durations = { whole: duration(whole), covered: duration(whole * share), share: percentDown(share) };
  const covered = { cameras: cameras.length, times: since && timesOf({}, since, until), ...durations };
  const sentence = since ? say(words.covered, covered) : words.no_video;
  const thin = rates.length && say(words.seen_thinly, { time: duration(whole * thin_share), rate: Math.min(...rates) });
  const never = silent.length ? say(words.never_video, { number: silent.length }) : "";
  const missing = [thin, isMissing && words.not_covered, counted.join(", ")].filter(Boolean).join(" ");
  $("summary", box).replaceChildren(
    element("span", { textContent: sentence }),
    since ? element("strong", { textContent: isFull ? words.all_covered : `⚠ ${missing}` }) : "",
    never && element("small", { textContent: ` ${never}` }),
  );
  $("tbody", box).replaceChildren(...cameras.map(row), ...(silent.length ? [silentRow(silent, never)] : []));
}

export const hideCoverage = () => (box.hidden = true);

function duration(ms) {
  const [unit, number] = ms < HOUR_MS ? [words.minutes, ms / 6e4] : [words.hours, ms / HOUR_MS];
  return say(unit, { number: number.toFixed(1) });
}

const percentDown = (fraction) => percent(Math.floor(100 * fraction + 1e-9) / 100); // 99.9 % is not all

/** Times of the camera's window without any recording of the camera: no video, no gap, no failure. */
function unknownTimes(camera) {
  const { since, until } = camera;
  const known = [...camera.searched, ...camera.thin, ...camera.gaps, ...camera.waiting, ...camera.failed];
  const unknown = [];
  let end = Date.parse(since);
  const skip = (begin) => begin - end >= 1000 && unknown.push({ since: end, until: begin });
  for (const span of known.sort((one, other) => Date.parse(one.since) - Date.parse(other.since))) {
    skip(Date.parse(span.since));
    end = Math.max(end, Date.parse(span.until ?? (camera.gaps.includes(span) ? until : span.since)));
  }
  skip(Date.parse(until));
  return unknown;
}

function silentRow(cameras, never) {
  const names = element("td", { textContent: cameras.map(placeOf).join(", "), colSpan: 3 });
  return element("tr", {}, element("td", { textContent: never }), names);
}

function row(camera) {
  const thin = camera.thin.map((span) => piece(camera, span, say(words.thin, { rate: span.looks_per_s })));
  const missing = [[camera.gaps, words.gap], [camera.waiting, words.waiting], [camera.failed, words.unusable]];
  const leftOut = camera.num_left_out;
  if (camera.since && !leftOut) missing.push([unknownTimes(camera), words.no_recording]);
  const pieces = thin.concat(missing.flatMap(([spans, kind]) => spans.map((span) => piece(camera, span, kind))));
  if (leftOut) pieces.push(element("li", { textContent: say(words.left_out, { number: leftOut }) }));
  return element(
    "tr", {},
    element("td", { textContent: placeOf(camera) }),
    element("td", { textContent: percentDown(camera.share) }),
    element("td", {}, element("ul", {}, ...camera.searched.map((span) => piece(camera, span)))),
    element("td", {}, element("ul", {}, ...pieces)),
  );
}

function piece(camera, { since, until, reason = "" }, kind = "") {
  const end = kind === words.gap ? words.until_now : words.unknown_length;
  const times = until ? timesOf(camera, since, until) : `${timeOf(camera, since)} – ${end}`;
  const why = reason && element("small", { lang: "en", textContent: ` ${reason}` });
  return element("li", {}, kind && `${kind} `, times, why);
}
