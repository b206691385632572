// The recording behind a sighting, in a dialog: the clip around it, its full frame, cameras near it at the same moment.

import { chosenCase, keyOf } from "./cases.js";
import { $, all, chance, element, say, words } from "./dom.js";
import { attempt as attemptOnPage, fetchJson, fetchResponse, json } from "./service.js";
import { cropOf, judge } from "./sightings.js";
import { showStreamed } from "./streamed_clip.js";
import { cameraOf, placeOf, timeOf, timesOf } from "./times.js";

const LONGER_S = 30; // before and after, on request
const AROUND_MS = 6 * 3600 * 1000; // of "before and after"
const AROUND_M = 1000;
const WITHIN_S = 0.002; // of a frame's time: the browser rounds
const VERDICT_OF_KEY = { KeyC: "confirmed", KeyR: "rejected" };

const dialog = $("#footage");
const clip = $("#clip");
const problem = $("#footage-problem");
const reasonField = $("[name=reason]");
let seen; // the sighting in view
let times = []; // of the clip's frames, in seconds
let closing = new AbortController();
let reading = new AbortController(); // of clips
let frameAddress; // of the full frame in memory

const near = () => all("#near video");
const addressOf = (part) => `v1/footage/${encodeURIComponent(seen.district)}/${seen.tracklet_id}${part}`;
const asked = (more = {}) => ({ case: chosenCase().id, reason: reasonField.value.trim(), ...more });

/** Opens the dialog for a sighting. Throws if the reason for looking is missing. */
function open(sighting) {
  if (!reasonField.value.trim()) throw new Error(words.no_case);
  forget();
  seen = sighting;
  $("#footage-title").textContent = `${placeOf(seen)} · ${timesOf(seen, seen.first_seen, seen.last_seen)}`;
  for (const part of all("#clip, #full-frame, #around-line")) part.hidden = true;
  $("#near").replaceChildren();
  $("#longer-clip").hidden = false;
  for (const button of all("[data-verdict]", dialog)) button.hidden = Boolean(chosenCase().closed);
  mark();
  if (!dialog.open) dialog.showModal();
  attempt(showAll);
}

/** Like that of service.js, but what fails is said in the dialog. */
async function attempt(work) {
  problem.hidden = true;
  try {
    await work();
  } catch (error) {
    if (error.name === "AbortError") return; // it was closed
    problem.replaceChildren(error.message, " ", element("small", { textContent: error.cause ?? "", lang: "en" }));
    problem.hidden = false;
  }
}

async function showAll() {
  const about = await fetchJson(addressOf(`?case=${chosenCase().id}`), { signal: closing.signal });
  $("#clip-status").textContent = about.has_clip ? words.loading_clip : words.no_clip;
  $("#longer-clip").hidden = !about.has_clip;
  $("#vms").hidden = !about.vms_url;
  if (about.vms_url) $("#vms").href = about.vms_url;
  for (const button of all("[data-step]")) button.hidden = !about.has_clip;
  const works = [];
  if (about.has_clip) works.push(showClips(about));
  if (about.box_xyxy) works.push(showFrame(about.box_xyxy));
  await Promise.all(works);
}

async function showClips({ near, is_exact }, around = {}) {
  reading.abort();
  reading = new AbortController();
  const others = near.map(({ camera_id, distance_m }) => {
    const place = placeOf({ ...seen, camera_id });
    const video = element("video", { muted: true, playsInline: true, ariaLabel: place });
    const caption = say(words.near_camera, { camera: place, metres: Math.round(distance_m) });
    return { camera_id, video, figure: element("figure", {}, video, element("figcaption", { textContent: caption })) };
  });
  $("#near").replaceChildren(...others.map(({ figure }) => figure));
  $("#longer-clip").onclick = () => attempt(() => showClips({ near, is_exact }, { before_s: LONGER_S, after_s: LONGER_S }));
  const loading = load(clip, around); // is made first
  const allNear = Promise.all(others.map(({ camera_id, video }) => load(video, { ...around, camera: camera_id })));
  allNear.catch(() => {}); // is said below, unless the clip itself fails
  const { whole } = await loading;
  clip.hidden = false;
  $("#clip-status").textContent = is_exact ? "" : words.clip_inexact;
  clip.focus();
  clip.play().catch(() => {}); // it was paused at once
  const nearOnes = await allNear;
  follow();
  await Promise.all([whole, ...nearOnes.map((one) => one.whole)]);
}

/** Loads a clip into `video`; when its first picture is there, an object with the promise of the `whole` clip. */
async function load(video, more) {
  const response = await fetchResponse(addressOf("/clip"), { ...json(asked(more)), signal: reading.signal });
  const streamed = showStreamed(video, response);
  if (video === clip) times = streamed.times;
  await streamed.begun;
  return streamed;
}

async function showFrame(box) {
  const response = await fetchResponse(addressOf("/frame"), { ...json(asked()), signal: closing.signal });
  const image = $("#full-frame img");
  frameAddress = URL.createObjectURL(await response.blob());
  image.src = frameAddress;
  await image.decode();
  const { naturalWidth: width, naturalHeight: height } = image;
  document.dispatchEvent(new CustomEvent("frame", { detail: { seen, box, width, height } }));
  $("#full-frame").hidden = false;
}

function forget() {
  closing.abort();
  reading.abort();
  closing = new AbortController();
  for (const video of all("video", dialog)) {
    video.removeAttribute("src");
    video.load(); // gives its memory back
  }
  $("#full-frame img").removeAttribute("src");
  URL.revokeObjectURL(frameAddress);
  times = [];
}

/** Lets the other cameras show the moment of the clip. */
function follow() {
  for (const video of near()) {
    video.currentTime = clip.currentTime;
    if (clip.paused) video.pause();
    else video.play().catch(() => {}); // its clip is shorter
  }
}

/** Goes to the next frame, or to the one before. */
function step(direction) {
  if (!times.length) return;
  clip.pause();
  const shown = times.findLastIndex((time) => time <= clip.currentTime + WITHIN_S);
  const next = Math.min(times.length - 1, Math.max(0, shown + direction));
  clip.currentTime = times[next] + WITHIN_S;
}

function mark() {
  const verdict = chosenCase().given.get(keyOf(seen)) ?? "none";
  for (const button of all("[data-verdict]", dialog)) {
    button.setAttribute("aria-pressed", button.dataset.verdict === verdict);
  }
}

/** Looks for the person near the camera, some hours before and after, and shows what was found as a line of time. */
async function showAround() {
  const { latitude, longitude } = cameraOf(seen);
  const fields = new FormData();
  const at = Date.parse(seen.first_seen);
  const window = { since: new Date(at - AROUND_MS), until: new Date(at + AROUND_MS) };
  for (const [name, value] of Object.entries(asked())) fields.set(name, value);
  for (const [name, moment] of Object.entries(window)) fields.set(name, moment.toISOString());
  fields.set("area", JSON.stringify({ latitude, longitude, radius_m: AROUND_M }));
  fields.set("confirmed", JSON.stringify([{ district: seen.district, tracklet_id: seen.tracklet_id }]));
  const { sightings } = await fetchJson("v1/search", { method: "POST", body: fields, signal: closing.signal });
  const ordered = sightings.sort((one, other) => Date.parse(one.first_seen) - Date.parse(other.first_seen));
  $("#around-line ol").replaceChildren(...ordered.map(around));
  $("#around-line").hidden = false;
  $("#around-line [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
}

function around(one) {
  const isSeen = keyOf(one) === keyOf(seen);
  const picture = element("button", { type: "button", ariaLabel: `${placeOf(one)} ${timeOf(one, one.first_seen)}` });
  picture.append(element("img", { src: cropOf(one), alt: "" }));
  picture.addEventListener("click", () => open(one));
  const item = element("li", {}, picture, element("strong", { textContent: timeOf(one, one.first_seen) }), " ");
  item.append(placeOf(one), isSeen ? "" : ` ${chance(one.match_probability)}`);
  if (isSeen) item.setAttribute("aria-current", "true");
  return item;
}

document.addEventListener("footage", ({ detail }) => attemptOnPage(() => open(detail)));
$("#close-footage").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", forget);
document.addEventListener("verdict", () => seen && mark());
for (const event of ["play", "pause", "seeked"]) clip.addEventListener(event, follow);
for (const button of all("[data-step]")) button.addEventListener("click", () => step(Number(button.dataset.step)));
for (const button of all("[data-verdict]", dialog)) button.addEventListener("click", () => judge(seen, button.dataset.verdict));
$("#around").addEventListener("click", () => attempt(showAround));
$("#footage-trail").addEventListener("click", () => document.dispatchEvent(new CustomEvent("trail", { detail: seen })));
dialog.addEventListener(
  "keydown",
  (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input")) return;
    const direction = { ArrowRight: 1, ArrowLeft: -1 }[event.code];
    const verdict = VERDICT_OF_KEY[event.code];
    const isPlay = event.code === "Space" && !event.target.closest("button");
    if (!(direction || verdict || isPlay)) return;
    event.preventDefault();
    event.stopPropagation(); // a video's own controls jump by seconds
    if (direction) step(direction);
    if (isPlay && times.length) clip[clip.paused ? "play" : "pause"]();
    if (verdict && !chosenCase().closed) judge(seen, verdict);
  },
  { capture: true },
);
