// The route through the confirmed sightings of the case and its alternatives: map, time line, table, files.

import { chosenCase, keyOf, sightingsJudged } from "./cases.js";
import { $, all, chance, element, percent, say, shape, words } from "./dom.js";
import { cameraShapes, scaleBar, ZoomedMap } from "./map.js";
import { attempt, fetchJson, fetchResponse, json } from "./service.js";
import { cropOf } from "./sightings.js";
import { districtCameras, placeOf, shortTimeOf, timeOf } from "./times.js";

const [MARGIN, NUMBER] = [60, 16]; // of the map, and the width of a number in the time line, in units of the drawing
let shown = {}; // the request of the route in view
let [stopsInView, toldInView] = [[], []];
const map = new ZoomedMap($("#map"), drawMap);
map.svg.addEventListener("pointerdown", dragMap);

/**
 * Reads and shows the route through the case's matches; `filters` limit the likely sightings that fill it, and `seenAt`
 * has the stops that no camera saw.
 */
export async function showRoute(reason, filters, seenAt) {
  const fill = $("#fill").checked;
  const [sightings, rejected] = ["confirmed", "rejected"].map(sightingsJudged);
  shown = { case: chosenCase().id, reason, sightings, rejected, fill, seen_at: seenAt, ...(fill ? filters : {}) };
  const answer = await fetchJson("v1/route", json(shown));
  const confirmed = new Set(sightings.map(keyOf));
  const isConfirmed = (one) => confirmed.has(keyOf(one));
  const routes = [answer, ...answer.alternatives];
  $("#left-out").hidden = !answer.left_out.length;
  const named = answer.left_out.map((one) => `${placeOf(one)} ${timeOf(one, one.first_seen)}`);
  $("#left-out span").textContent = named.join("; ");
  $("#alternatives").replaceChildren(...routes.map((one, index) => choice(one, index, answer.told, isConfirmed)));
  $("#alternatives").hidden = routes.length < 2;
  draw(answer.route, answer.told, isConfirmed);
}

function choice({ route, relative_probability: share }, index, told, isConfirmed) {
  const radio = element("input", { type: "radio", name: "alternative", checked: !index });
  radio.addEventListener("change", () => draw(route, told, isConfirmed));
  const name = say(words.route_number, { number: index + 1, probability: percent(share) });
  return element("label", { className: "chip" }, radio, ` ${name}`);
}

for (const button of all("[data-format]")) {
  button.addEventListener("click", () =>
    attempt(async () => {
      const { format } = button.dataset;
      const href = URL.createObjectURL(await (await fetchResponse(`v1/route?format=${format}`, json(shown))).blob());
      element("a", { href, download: `route-case-${chosenCase().id}.${format}` }).click();
      setTimeout(() => URL.revokeObjectURL(href), 60_000); // the browser has read it by then
    }),
  );
}

function draw(route, told, isConfirmed) {
  const stops = route.map((one) => ({ ...one, isCertain: isConfirmed(one) }));
  $("#route tbody").replaceChildren(...stops.map(row), ...told.map(toldRow));
  stopsInView = stops;
  toldInView = told;
  map.fit([...camerasOf(stops), ...stops, ...told], MARGIN);
  drawTimeLine(stops);
}

function row(stop, index) {
  const certainty = stop.isCertain ? words.certain : say(words.likely, { probability: chance(stop.match_probability) });
  const texts = [placeOf(stop), shortTimeOf(stop, stop.first_seen), shortTimeOf(stop, stop.last_seen), certainty];
  const picture = element("img", { src: cropOf(stop), alt: "", width: 20, height: 40 });
  return element(
    "tr", { className: stop.isCertain ? "certain" : "likely" },
    element("td", {}, `${index + 1} `, picture),
    ...texts.map((textContent) => element("td", { textContent })),
  );
}

function toldRow(stop) {
  const [district, camera_id] = (stop.camera ?? "/").split("/");
  const seen = { district, camera_id };
  const within = say(words.told_within, { minutes: Math.round(stop.within_s / 60) });
  const place = stop.camera ? placeOf(seen) : words.place_on_map;
  const texts = ["◆", place, shortTimeOf(seen, stop.time), within, stop.source ?? words.told];
  return element("tr", { className: "told" }, ...texts.map((textContent) => element("td", { textContent })));
}

const kindOf = (...stops) => (stops.every(({ isCertain }) => isCertain) ? "certain" : "likely");

const camerasOf = (stops) => districtCameras(new Set(stops.map(({ district }) => district)));

/** Moves the map with the pointer. */
function dragMap(event) {
  let last = map.pointOf(event);
  const move = (later) => {
    const point = map.pointOf(later);
    map.move(last.x - point.x, last.y - point.y);
    last = point;
  };
  map.svg.setPointerCapture(event.pointerId);
  map.svg.addEventListener("pointermove", move);
  const stop = () => map.svg.removeEventListener("pointermove", move);
  map.svg.addEventListener("lostpointercapture", stop, { once: true });
}

function drawMap({ at }) {
  const stops = stopsInView;
  const points = stops.map(at);
  const legs = stops.slice(1).map((stop, index) => {
    const [from, to] = [points[index], points[index + 1]];
    return shape("line", { class: `way ${kindOf(stops[index], stop)}`, x1: from.x, y1: from.y, x2: to.x, y2: to.y });
  });
  const orders = new Map(); // place -> indices of its stops; Map.groupBy is newer than control rooms' browsers
  points.forEach(({ x, y }, index) => orders.set(`${x},${y}`, [...(orders.get(`${x},${y}`) ?? []), index]));
  const marks = [...orders.values()].flatMap((indices) => {
    const { x, y } = points[indices[0]];
    const numbers = indices.map((index) => index + 1).join("·");
    const half = 8 + 4 * numbers.length;
    const kind = indices.some((index) => stops[index].isCertain) ? "certain" : "likely";
    return [
      shape("rect", { class: `stop ${kind}`, x: x - half, y: y - 12, width: 2 * half, height: 24, rx: 12 }),
      shape("text", { class: `number ${kind}`, x, y: y + 5 }, numbers),
    ];
  });
  const places = toldInView.map(at).map(({ x, y }) => shape("text", { class: "told", x: x + 26, y: y + 6 }, "◆"));
  const north = shape("text", { class: "north", x: 20, y: 28 }, "N ↑");
  map.svg.replaceChildren(...legs, ...cameraShapes(camerasOf(stops), map), ...marks, ...places, ...scaleBar(map), north);
}

function drawTimeLine(stops) {
  const [width, left, right, rowHeight] = [540, 150, 20, 36];
  const [begin, end] = [stops[0].first_seen, stops.at(-1).last_seen];
  const lasts = Math.max(1, Date.parse(end) - Date.parse(begin));
  const x = (time) => left + ((width - left - right) * (Date.parse(time) - Date.parse(begin))) / lasts;
  const places = [...new Set(stops.map(placeOf))];
  const middle = (stop) => rowHeight * (places.indexOf(placeOf(stop)) + 0.5) + 4;
  const names = places.map((name, index) =>
    shape("text", { class: "name", x: 0, y: rowHeight * (index + 0.5) + 9 }, name),
  );
  const legs = stops.slice(1).map((stop, index) => {
    const last = stops[index];
    const ends = { x1: x(last.last_seen), y1: middle(last), x2: x(stop.first_seen), y2: middle(stop) };
    return shape("line", { class: `way ${kindOf(last, stop)}`, ...ends });
  });
  const above = {}; // where the last number over the bars of a place is
  const bars = stops.flatMap((stop, index) => {
    const [from, length] = [x(stop.first_seen), Math.max(6, x(stop.last_seen) - x(stop.first_seen))];
    const [centre, place] = [from + length / 2, placeOf(stop)];
    const isFree = !(centre - above[place] < NUMBER);
    if (isFree) above[place] = centre;
    return [
      shape("rect", { class: `stop ${kindOf(stop)}`, x: from, y: middle(stop) - 6, rx: 3, width: length, height: 12 }),
      shape("text", { class: "order", x: centre, y: middle(stop) + (isFree ? -10 : 18) }, index + 1),
    ];
  });
  const bottom = rowHeight * places.length + 18;
  const clock = (time) => timeOf(stops[0], time, { timeStyle: "medium" });
  const ends = [
    shape("text", { class: "name", x: left, y: bottom }, clock(begin)),
    shape("text", { class: "name end", x: width - right, y: bottom }, clock(end)),
  ];
  $("#time-line").setAttribute("viewBox", `0 0 ${width} ${bottom + 6}`);
  $("#time-line").replaceChildren(...legs, ...names, ...bars, ...ends);
}
