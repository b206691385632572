// Photos of the person, and the person's place in each: a click or a box, in pixels of the photo.

import { $, all, element, say, shape, words } from "./dom.js";

const CLICK_PX = 2; // half the side of a click's box; a drag up to twice as far is a click
const STEP = 1 / 40; // of the photo's size, per press of an arrow key
const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const field = $("[name=photo]");
const list = $("#photos");
const MOST_PX = 2000; // of a side; larger photos show no more of a person, and take long to send over a weak line
const JPEG_QUALITY = 0.92;
const most = Number($(".photo").dataset.most);
const photos = []; // { file, item, drawing, box: [left, top, right, bottom] or null }

field.addEventListener("change", async () => {
  const chosen = [...field.files];
  field.value = ""; // the next choice adds to these
  field.setCustomValidity(photos.length + chosen.length > most ? say(words.too_many_photos, { most }) : "");
  for (const file of chosen.slice(0, most - photos.length)) {
    const sent = await scaled(file);
    if (isHeif(sent)) field.setCustomValidity(words.photo_heic);
    else await add(sent);
  }
  field.reportValidity();
  field.setCustomValidity("");
});

export const chosenPhotos = () => photos.map(({ file }) => file);

/** A box or null for each photo; null if no photo has a box. */
export const chosenBoxes = () => (photos.some(({ box }) => box) ? photos.map(({ box }) => box) : null);

/**
 * Shows the person who was searched for in each of `files`: the boxes of an answer, null for the whole photo; and the
 * other people who were `detected` in it. A photo with nobody, or with several people, is said.
 */
export function showSearched(files, boxes, detected) {
  const notes = [];
  for (const [index, photo] of photos.entries()) {
    const place = files.indexOf(photo.file);
    if (place < 0) continue;
    const box = boxes[place] ?? [0, 0, photo.width, photo.height];
    draw(photo, "other", null);
    const people = detected[place];
    for (const other of people.filter((one) => String(one) !== String(box))) addBox(photo, "other", other);
    draw(photo, "searched", box);
    if (!people.length && !photo.box) notes.push(say(words.nobody_in_photo, { number: index + 1 }));
    if (people.length > 1) notes.push(say(words.several_in_photo, { number: index + 1, people: people.length }));
  }
  $("#photo-notes").replaceChildren(...notes.map((textContent) => element("li", { textContent })));
  $("#searched").hidden = !$(".searched", list);
  $("#pointing").hidden = !photos.length || !$("#searched").hidden;
}

export function clearPhotos() {
  for (const photo of [...photos]) remove(photo);
}

/** Whether `file` is HEIC, as iPhones store photos, which the service cannot read; Windows does not know its type. */
function isHeif({ type, name }) {
  return type ? /^image\/hei[cf]/.test(type) : /\.hei[cf]$/i.test(name);
}

/** `file` upright as a JPEG of at most `MOST_PX` a side; `file` itself if it is small enough or no picture. */
async function scaled(file) {
  const picture = await createImageBitmap(file).catch(() => null); // upright, by the photo's own note
  if (!picture) return file;
  const factor = Math.min(1, MOST_PX / Math.max(picture.width, picture.height));
  if (factor === 1 && !isHeif(file)) return file;
  const canvas = new OffscreenCanvas(Math.round(picture.width * factor), Math.round(picture.height * factor));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const smaller = await canvas.convertToBlob({ type: "image/jpeg", quality: JPEG_QUALITY });
  return new File([smaller], file.name, { type: smaller.type });
}

async function add(file) {
  const address = URL.createObjectURL(file);
  const picture = await createImageBitmap(file).catch(() => ({ width: 120, height: 160 })); // the service refuses it
  const { width, height } = picture;
  const drawing = shape("svg", { viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "img" });
  drawing.append(shape("image", { href: address, width, height }));
  const button = element("button", { type: "button", textContent: "✕" });
  const item = element("li", { className: width > height ? "wide" : "" }, drawing, button);
  const photo = { file, address, item, drawing, width, height, box: null };
  button.addEventListener("click", () => {
    const next = item.nextElementSibling ?? item.previousElementSibling;
    remove(photo);
    (next ? $("button", next) : field).focus();
  });
  drawing.addEventListener("pointerdown", (event) => drag(photo, event));
  drawing.addEventListener("keydown", (event) => moveByKey(photo, event));
  photos.push(photo);
  list.append(item);
  renumber();
}

function remove(photo) {
  photos.splice(photos.indexOf(photo), 1);
  photo.item.remove();
  URL.revokeObjectURL(photo.address);
  renumber();
}

function renumber() {
  for (const [index, { drawing, item }] of photos.entries()) {
    drawing.setAttribute("aria-label", say(words.photo_number, { number: index + 1 }));
    const button = $("button", item);
    button.title = say(words.remove_photo, { number: index + 1 });
    button.setAttribute("aria-label", button.title);
  }
  $("#searched").hidden = true;
  $("#photo-notes").replaceChildren();
  $("#pointing").hidden = !photos.length;
}

function draw(photo, kind, box) {
  all(`.${kind}`, photo.drawing).forEach((old) => old.remove());
  if (box) addBox(photo, kind, box);
}

function addBox({ drawing }, kind, box) {
  const [left, top, right, bottom] = box;
  if (right - left <= 2 * CLICK_PX) {
    const radius = drawing.viewBox.baseVal.width / 40;
    drawing.append(shape("circle", { class: kind, cx: (left + right) / 2, cy: (top + bottom) / 2, r: radius }));
  } else drawing.append(shape("rect", { class: kind, x: left, y: top, width: right - left, height: bottom - top }));
}

/** Sets the photo's box, cut to the photo; null removes it. */
function setBox(photo, box) {
  const inside = (value, most) => Math.min(Math.max(value, 0), most);
  photo.box = box && box.map((value, side) => Math.round(inside(value, side % 2 ? photo.height : photo.width)));
  draw(photo, "searched", null);
  draw(photo, "pointed", photo.box);
}

function drag(photo, event) {
  const { drawing } = photo;
  const toPixels = drawing.getScreenCTM().inverse();
  const place = ({ clientX, clientY }) => new DOMPoint(clientX, clientY).matrixTransform(toPixels);
  const start = place(event);
  const far = (end) => Math.max(Math.abs(end.x - start.x), Math.abs(end.y - start.y)) > 2 * CLICK_PX;
  const move = (later) => {
    const end = place(later);
    const reach = far(end) ? 0 : CLICK_PX;
    setBox(photo, [
      Math.min(start.x, end.x) - reach, Math.min(start.y, end.y) - reach,
      Math.max(start.x, end.x) + reach, Math.max(start.y, end.y) + reach,
    ]);
  };
  event.preventDefault();
  drawing.focus({ preventScroll: true });
  drawing.setPointerCapture(event.pointerId);
  move(event);
  drawing.addEventListener("pointermove", move);
  const stop = () => drawing.removeEventListener("pointermove", move);
  drawing.addEventListener("lostpointercapture", stop, { once: true });
}

function moveByKey(photo, event) {
  const { width, height, box } = photo;
  const [dx, dy] = DIRECTIONS[event.code] ?? [0, 0];
  const steps = [dx * width * STEP, dy * height * STEP];
  const isFixed = (side) => event.shiftKey && side < 2; // then only right and bottom move
  if (event.code === "Enter" && !box) setBox(photo, [width * 0.35, height * 0.2, width * 0.65, height * 0.9]);
  else if (["Delete", "Backspace"].includes(event.code)) setBox(photo, null);
  else if (box && (dx || dy)) setBox(photo, box.map((value, side) => value + (isFixed(side) ? 0 : steps[side % 2])));
  else return;
  event.preventDefault();
}
