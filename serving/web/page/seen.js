// Where and when the person was seen: a camera or a circle on the map, and a time that may be vague.

import { isAway } from "./cameras.js";
import { $, all, shape, words } from "./dom.js";
import { cameraShapes, scaleBar, ZoomedMap } from "./map.js";
import { districtCameras, moment } from "./times.js";

const DIGITS = 6; // decimal places of a degree: a decimetre
const [MARGIN, LEAST_PX] = [40, 8]; // in units of the drawing
const ON_MAP = "map"; // the option for a place chosen on the map
const [placeField, radiusField, timeField, withinField] = ["place", "radius", "time", "within"].map((name) => $(`#seen-${name}`));
let chosenPlace = null; // on a map
const maps = all(".seen-map").map((svg) => {
  const map = new ZoomedMap(svg, drawMap);
  map.cameras = districtCameras(new Set([svg.dataset.district]));
  map.fit(map.cameras, MARGIN);
  return map;
});

/** The field `seen_at` of a search; empty where nothing is filled in. */
export function chosenSeen() {
  const { value } = placeField;
  if (!value && !timeField.value) return [];
  if (!value || !timeField.value) throw new Error(words.seen_half);
  if (!withinField.checkValidity() || (value === ON_MAP && !radiusField.checkValidity())) throw new Error(words.seen_vague);
  const time = moment(timeField.value);
  const within_s = 60 * Number(withinField.value);
  const source = $("#seen-source").value.trim();
  const told = { time, within_s, ...(source ? { source } : {}) };
  if (value !== ON_MAP) return [{ camera: value, ...told }];
  const [latitude, longitude] = [chosenPlace.latitude, chosenPlace.longitude].map((degrees) => Number(degrees.toFixed(DIGITS)));
  return [{ area: { latitude, longitude, radius_m: Number(radiusField.value) }, ...told }];
}

/** Draws the chosen place on the maps; also to be called after a reset of the form. */
export function drawSeen() {
  maps.forEach((map) => map.redraw());
  radiusField.disabled = placeField.value !== ON_MAP;
}

function drawMap(map) {
  const { value, selectedOptions } = placeField;
  const { latitude, longitude } = selectedOptions[0].dataset;
  const place = value === ON_MAP ? chosenPlace : value && { latitude: Number(latitude), longitude: Number(longitude) };
  const radius = Math.max(LEAST_PX, value === ON_MAP ? map.scale * Number(radiusField.value) : 0);
  const { x, y } = place ? map.at(place) : {};
  const circle = place ? [shape("circle", { class: "area", cx: x, cy: y, r: radius })] : [];
  const kindOf = (cameras) => (cameras.every(isAway) ? "away" : "");
  map.svg.replaceChildren(...circle, ...cameraShapes(map.cameras, map, kindOf), ...scaleBar(map));
}

for (const map of maps) {
  map.svg.addEventListener("pointerdown", (event) => {
    chosenPlace = map.placeAt(map.pointOf(event));
    $(`[value=${ON_MAP}]`, placeField).hidden = false;
    placeField.value = ON_MAP;
    placeField.dispatchEvent(new Event("change", { bubbles: true }));
    drawSeen();
  });
}
for (const field of [placeField, radiusField]) field.addEventListener("input", drawSeen);
drawSeen();
