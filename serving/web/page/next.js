// Where next: cameras and minutes with the probability that the person comes there, and the area to search on the map.

import { chosenCase, sightingsJudged } from "./cases.js";
import { $, chance, element, percent, say, shape, words } from "./dom.js";
import { cameraShapes, scaleBar, ZoomedMap } from "./map.js";
import { fetchJson, json } from "./service.js";
import { placeOf, timeOf } from "./times.js";

const COLUMN = 5; // minutes
const LISTED = 10; // cameras
const HECTARE_M2 = 10_000;
const MARGIN = 30; // of the map, in units of the drawing
let inView; // places, cameras and the last place on the map
const map = new ZoomedMap($("#next-map"), drawMap);

/** Reads and shows where the person is next, from the case's matches and the place and time `seenAt` of the form. */
export async function showNext(reason, seenAt) {
  const [sightings, rejected] = ["confirmed", "rejected"].map(sightingsJudged);
  if (!sightings.length && !seenAt.length) throw new Error(words.next_nothing);
  const asked = { case: chosenCase().id, reason, sightings, rejected, seen_at: seenAt };
  const answer = await fetchJson("v1/where-next", json(asked));
  const { last, cameras, areas } = answer;
  const where = last.camera ? placeOf(seenOf(last)) : words.place_on_map;
  $("#next-last").textContent = say(words.next_from, { place: where, time: timeOf(seenOf(last), last.time) });
  $("#next-unseen").textContent = say(words.next_unseen, { share: percent(answer.unseen) });
  const maybe = answer.sightings.filter(({ match_probability: probability }) => probability >= 0.5).length;
  $("#next-maybe").textContent = maybe ? say(words.next_maybe, { number: maybe }) : "";
  $("#next-times").replaceChildren(...areas.map((area) => choice(area, last)));
  $("#next-times input").checked = true;
  inView = { last, cameras: cameras.map((camera) => ({ ...camera, name: placeOf(camera) })) };
  fit(areas[0]);
  drawTable(last, cameras);
}

const seenOf = ({ camera }) => {
  const [district, camera_id] = (camera ?? "/").split("/");
  return { district, camera_id };
};

function fit(area) {
  inView.places = area.places.map(([latitude, longitude]) => ({ latitude, longitude }));
  map.fit([...inView.places, ...inView.cameras, inView.last], MARGIN);
}

function choice(area, last) {
  const radio = element("input", { type: "radio", name: "next-time" });
  radio.addEventListener("change", () => fit(area));
  const size = (area.area_m2 / HECTARE_M2).toFixed(1);
  const text = say(words.next_area, { time: timeOf(seenOf(last), area.time, { timeStyle: "short" }), size });
  return element("label", { className: "chip" }, radio, ` ${text}`);
}

function drawMap({ at, svg }) {
  const { places, last, cameras } = inView;
  const circle = (kind, place, r) => shape("circle", { class: kind, cx: at(place).x, cy: at(place).y, r });
  const likely = places.map((place) => circle("maybe", place, 6));
  const most = Math.max(...cameras.map(({ probability }) => probability), 1e-9);
  const dots = cameras.map((camera) => circle("next", camera, 5 + 9 * (camera.probability / most)));
  const { x, y } = at(last);
  const from = shape("rect", { class: "stop", x: x - 6, y: y - 6, width: 12, height: 12, rx: 2 });
  const north = shape("text", { class: "north", x: 20, y: 28 }, "N ↑");
  svg.replaceChildren(...likely, ...dots, ...cameraShapes(cameras, map), from, ...scaleBar(map), north);
}

function drawTable(last, cameras) {
  const minutes = cameras[0]?.minutes.length ?? 0;
  const columns = Array.from({ length: Math.ceil(minutes / COLUMN) }, (_, index) => index * COLUMN);
  const begin = Date.parse(last.time);
  const heads = columns.map((minute) => timeOf(seenOf(last), begin + minute * 60_000, { timeStyle: "short" }));
  const head = [words.camera, words.next_share, words.next_searched, ...heads];
  $("#next-table thead").replaceChildren(
    element("tr", {}, ...head.map((textContent) => element("th", { textContent, scope: "col" }))),
  );
  $("#next-table tbody").replaceChildren(...cameras.slice(0, LISTED).map((camera) => row(camera, columns)));
}

function row(camera, columns) {
  const shares = columns.map((begin) =>
    camera.minutes.slice(begin, begin + COLUMN).reduce((sum, share) => sum + share, 0),
  );
  const texts = [placeOf(camera), chance(camera.probability), percent(camera.searched)];
  return element(
    "tr", {},
    ...texts.map((textContent) => element("td", { textContent })),
    ...shares.map((share) => element("td", { className: shade(share), textContent: share < 0.005 ? "" : chance(share) })),
  );
}

const shade = (share) => `share-${Math.min(4, Math.ceil(share * 20))}`; // a class, as styles in elements are forbidden
