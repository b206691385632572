// The area that is searched: a circle around a camera or around any place on the map of its district.

import { $, all, say, shape, words } from "./dom.js";
import { nameTags, projection } from "./map.js";
import { districtCameras } from "./times.js";

const DIGITS = 6; // decimal places of a degree: a decimetre
const [MARGIN, CLICK] = [40, 4]; // in units of the drawing
const ON_MAP = "map"; // the option for a place chosen on the map
const [centreField, radiusField] = [$("#area-centre"), $("#area-radius")];
const cameraCount = $("#in-area");
const maps = all(".area-map").map((drawing) => {
  const { width, height } = drawing.viewBox.baseVal;
  const cameras = districtCameras(new Set([drawing.dataset.district]));
  const shown = projection(cameras, width, height, MARGIN);
  return { drawing, cameras, ...shown, names: nameTags(cameras, shown.at, width) };
});
let chosenPlace = null; // on a map

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
  let numIn = 0;
  for (const { drawing, cameras, at, scale, names } of maps) {
    const radius = scale * Number(radiusField.value);
    const middle = centre && at(centre);
    const dots = cameras.map((camera) => {
      const { x, y } = at(camera);
      const isIn = middle && Math.hypot(x - middle.x, y - middle.y) <= radius;
      if (isIn) numIn += 1;
      return shape("circle", { class: isIn ? "camera in" : "camera", cx: x, cy: y, r: 4 });
    });
    const circle = middle ? [shape("circle", { class: "area", cx: middle.x, cy: middle.y, r: radius })] : [];
    drawing.replaceChildren(...circle, ...dots, ...names);
  }
  radiusField.disabled = !centre;
  cameraCount.textContent = centre ? say(words.cameras_in_area, { number: numIn }) : "";
}

function centreOf() {
  const { value, selectedOptions } = centreField;
  if (value === ON_MAP) return chosenPlace;
  const { latitude, longitude } = selectedOptions[0].dataset;
  return value ? { latitude: Number(latitude), longitude: Number(longitude) } : null;
}

/** Sets the centre where the pointer goes down and the radius to the length of the drag; a click keeps the radius. */
function drag({ drawing, placeAt, scale }, event) {
  const toDrawing = drawing.getScreenCTM().inverse();
  const place = ({ clientX, clientY }) => new DOMPoint(clientX, clientY).matrixTransform(toDrawing);
  const start = place(event);
  const move = (later) => {
    const end = place(later);
    const reach = Math.hypot(end.x - start.x, end.y - start.y);
    if (reach > CLICK) radiusField.value = Math.max(1, Math.round(reach / scale));
    drawArea();
  };
  event.preventDefault();
  chosenPlace = placeAt(start);
  $(`[value=${ON_MAP}]`, centreField).hidden = false;
  centreField.value = ON_MAP;
  drawing.setPointerCapture(event.pointerId);
  move(event);
  drawing.addEventListener("pointermove", move);
  const stop = () => drawing.removeEventListener("pointermove", move);
  drawing.addEventListener("lostpointercapture", stop, { once: true });
}

for (const map of maps) map.drawing.addEventListener("pointerdown", (event) => drag(map, event));
for (const field of [centreField, radiusField]) field.addEventListener("input", drawArea);
drawArea();
