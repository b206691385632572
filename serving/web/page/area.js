// The area that is searched: a circle around a camera or around any place on the map of its district.

import { isAway } from "./cameras.js";
import { $, all, say, shape, words } from "./dom.js";
import { cameraShapes, scaleBar, ZoomedMap } from "./map.js";
import { districtCameras } from "./times.js";

const DIGITS = 6; // decimal places of a degree: a decimetre
const [MARGIN, CLICK] = [40, 4]; // in units of the drawing
const ON_MAP = "map"; // the option for a place chosen on the map
const [centreField, radiusField] = [$("#area-centre"), $("#area-radius")];
const cameraCount = $("#in-area");
let chosenPlace = null; // on a map
const maps = all(".area-map").map((svg) => {
  const map = new ZoomedMap(svg, drawMap);
  map.cameras = districtCameras(new Set([svg.dataset.district]));
  map.fit(map.cameras, MARGIN);
  return map;
});

/** The field `area` of a search; null where no centre is chosen. */
export function chosenArea() {
  const centre = centreOf();
  if (!centre) return null;
  if (!radiusField.checkValidity()) throw new Error(words.no_radius);
  const [latitude, longitude] = [centre.latitude, centre.longitude].map((degrees) => Number(degrees.toFixed(DIGITS)));
  return { latitude, longitude, radius_m: Number(radiusField.value) };
}

/** Marks the cameras in the area on the maps and shows their number; also to be called after a reset of the form. */
export function drawArea() {
  const centre = centreOf();
  const numIn = maps.reduce((sum, map) => sum + map.cameras.filter((camera) => isIn(map, camera)).length, 0);
  maps.forEach((map) => map.redraw());
  radiusField.disabled = !centre;
  cameraCount.textContent = centre ? say(words.cameras_in_area, { number: numIn }) : "";
}

function isIn({ at, scale }, camera) {
  const centre = centreOf();
  if (!centre) return false;
  const [{ x, y }, middle] = [at(camera), at(centre)];
  return Math.hypot(x - middle.x, y - middle.y) <= scale * Number(radiusField.value);
}

function drawMap(map) {
  const centre = centreOf();
  const { x, y } = centre ? map.at(centre) : {};
  const radius = map.scale * Number(radiusField.value);
  const circle = centre ? [shape("circle", { class: "area", cx: x, cy: y, r: radius })] : [];
  const kindOf = (cameras) => {
    const kinds = { in: cameras.every((camera) => isIn(map, camera)), away: cameras.every(isAway) };
    return Object.keys(kinds).filter((kind) => kinds[kind]).join(" ");
  };
  map.svg.replaceChildren(...circle, ...cameraShapes(map.cameras, map, kindOf), ...scaleBar(map));
}

function centreOf() {
  const { value, selectedOptions } = centreField;
  if (value === ON_MAP) return chosenPlace;
  const { latitude, longitude } = selectedOptions[0].dataset;
  return value ? { latitude: Number(latitude), longitude: Number(longitude) } : null;
}

/** Sets the centre where the pointer goes down and the radius to the length of the drag; a click keeps the radius. */
function drag(map, event) {
  const { svg: drawing } = map;
  const start = map.pointOf(event);
  const move = (later) => {
    const end = map.pointOf(later);
    const reach = Math.hypot(end.x - start.x, end.y - start.y);
    if (reach > CLICK) radiusField.value = Math.max(1, Math.round(reach / map.scale));
    drawArea();
  };
  event.preventDefault();
  chosenPlace = map.placeAt(start);
  $(`[value=${ON_MAP}]`, centreField).hidden = false;
  centreField.value = ON_MAP;
  drawing.setPointerCapture(event.pointerId);
  move(event);
  drawing.addEventListener("pointermove", move);
  const stop = () => drawing.removeEventListener("pointermove", move);
  drawing.addEventListener("lostpointercapture", stop, { once: true });
}

for (const map of maps) map.svg.addEventListener("pointerdown", (event) => drag(map, event));
for (const field of [centreField, radiusField]) field.addEventListener("input", drawArea);
document.addEventListener("away", drawArea);
drawArea();
