// Corrects the box of the person in a sighting's full frame, by drawing or by numbers.

import { chosenCase, keyOf } from "./cases.js";
import { $, all, shape, words } from "./dom.js";
import { fetchJson, json } from "./service.js";

const LEAST_SIDE = 4; // pixels
const [picture, drawing, fields, problem] = ["div", "svg", "fieldset", "[role=alert]"].map((part) => $(`#full-frame ${part}`));
const sides = ["left", "top", "right", "bottom"].map((side) => $(`#box-${side}`));
let seen; // the sighting in view
let found; // its box by the detector
let start; // of a drag

const corrected = () => chosenCase().boxes.find((one) => keyOf(one) === keyOf(seen))?.box_xyxy;
const entered = () => sides.map(({ value }) => Number(value));
const isEdited = () => !fields.hidden;

function draw() {
  const boxOf = ([left, top, right, bottom], kind) =>
    shape("rect", { class: kind, x: left, y: top, width: Math.max(0, right - left), height: Math.max(0, bottom - top) });
  const right = isEdited() ? entered() : corrected();
  drawing.replaceChildren(...(right ? [boxOf(found, "found"), boxOf(right, "right")] : [boxOf(found, "right")]));
  $("#box-is-corrected").hidden = isEdited() || !corrected();
  $("#correct-box").hidden = isEdited() || Boolean(chosenCase().closed);
}

function edit(isOn) {
  fields.hidden = !isOn;
  problem.hidden = true;
  (corrected() ?? found).forEach((value, number) => (sides[number].value = Math.round(value)));
  $("#box-as-found").hidden = !corrected();
  draw();
  if (isOn) sides[0].focus();
}

async function save(box) {
  const { district, tracklet_id } = seen;
  const read = chosenCase();
  try {
    ({ boxes: read.boxes } = await fetchJson(`v1/cases/${read.id}/boxes`, json({ district, tracklet_id, box_xyxy: box })));
    edit(false);
    $("#correct-box").focus();
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
}

/** Where a pointer is in the picture, in pixels of the frame. */
function placeIn({ clientX, clientY }) {
  const { left, top, width, height } = picture.getBoundingClientRect();
  const { width: across, height: down } = drawing.viewBox.baseVal;
  const within = (part, most) => Math.round(Math.min(1, Math.max(0, part)) * most);
  return [within((clientX - left) / width, across), within((clientY - top) / height, down)];
}

document.addEventListener("frame", ({ detail }) => {
  seen = detail.seen;
  found = detail.box;
  drawing.setAttribute("viewBox", `0 0 ${detail.width} ${detail.height}`);
  sides.forEach((field, number) => (field.max = number % 2 ? detail.height : detail.width));
  edit(false);
});
picture.addEventListener("pointerdown", (event) => {
  if (!isEdited()) return;
  event.preventDefault(); // the picture would be dragged
  picture.setPointerCapture(event.pointerId);
  start = placeIn(event);
});
picture.addEventListener("pointermove", (event) => {
  if (!start) return;
  const end = placeIn(event);
  const [low, high] = [Math.min, Math.max].map((of) => [0, 1].map((axis) => of(start[axis], end[axis])));
  [...low, ...high].forEach((value, number) => (sides[number].value = value));
  draw();
});
for (const event of ["pointerup", "pointercancel"]) picture.addEventListener(event, () => (start = undefined));
for (const field of sides) field.addEventListener("input", draw);
$("#correct-box").addEventListener("click", () => edit(true));
$("#cancel-box").addEventListener("click", () => edit(false));
$("#box-as-found").addEventListener("click", () => save(null));
$("#save-box").addEventListener("click", () => {
  const [left, top, right, bottom] = entered();
  if (Math.min(right - left, bottom - top) >= LEAST_SIDE) return save([left, top, right, bottom]);
  problem.textContent = words.refused_small_box;
  problem.hidden = false;
});
