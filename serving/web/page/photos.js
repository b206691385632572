// Photos of the person, and the person's place in each: a click or a box, in pixels of the photo.

import { $, all, element, say, shape, words } from "./dom.js";
import { fetchJson } from "./service.js";

const CLICK_PX = 2; // half the side of a click's box; a drag up to twice as far is a click
const STEP = 1 / 40; // of the photo's size, per press of an arrow key
const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const field = $("[name=photo]");
const list = $("#photos");
const MOST_PX = 1600; // of a side; larger photos show no more of a person, and take long to send over a weak line
const LOOK_PX = 800; // of a side, to see who is in a photo
const JPEG_QUALITY = 0.9;
const most = Number($(".photo").dataset.most);
// { file, item, drawing, width, height, box: [left, top, right, bottom] or null, people: boxes of who is in it }
const photos = [];
let refusals = []; // why photos of the last choice are not among them
let looking = Promise.resolve(); // one photo after the other, so that a search on a weak line need not wait for all

field.addEventListener("change", async () => {
  const chosen = [...field.files];
  field.value = ""; // the next choice adds to these
  refusals = photos.length + chosen.length > most ? [say(words.too_many_photos, { most })] : [];
  for (const file of chosen.slice(0, most - photos.length)) {
    const sent = await scaled(file, MOST_PX);
    if (isHeif(sent)) refuse(file, words.refused_photo_heic);
    else {
      const photo = await add(sent);
      looking = looking.then(() => lookAt(photo));
    }
  }
  showNotes();
});

export const chosenPhotos = () => photos.map(({ file }) => file);

/** A box or null for each photo; null if no photo has a box. */
export const chosenBoxes = () => (photos.some(({ box }) => box) ? photos.map(({ box }) => box) : null);

/** `error`, which names one of `files` if the service has told which. */
export function named(error, files) {
  const name = files[error.number - 1]?.name;
  if (name) error.message = say(words.photo_refused, { name, problem: error.message });
  return error;
}

/** Shows the person who was searched for in each of `files` and everybody `detected` there, as in a search's answer. */
export function showSearched(files, boxes, detected) {
  for (const photo of photos) {
    const place = files.indexOf(photo.file);
    if (place >= 0) showPeople(photo, detected[place], boxes[place]);
  }
  showNotes();
  $("#searched").hidden = !$(".searched", list);
  $("#pointing").hidden = !photos.length || !$("#searched").hidden;
}

/** Asks who is in the photo, so that the person can be chosen before the search; a photo that is refused is removed. */
async function lookAt(photo) {
  if (!photos.includes(photo)) return; // removed meanwhile
  photo.item.setAttribute("aria-busy", true);
  try {
    const fields = new FormData();
    fields.set("photo", await scaled(photo.file, LOOK_PX));
    const answer = await fetchJson("v1/photo", { method: "POST", body: fields });
    if (!photo.isSeen) setSize(photo, answer.width_px, answer.height_px); // the browser cannot show it
    const factor = photo.width / answer.width_px;
    const ofPhoto = (box) => box?.map((value) => Math.round(value * factor));
    if (photo.people) return; // a search has told
    showPeople(photo, answer.detected_xyxy.map(ofPhoto), ofPhoto(answer.selected_xyxy));
    if (photo.box) draw(photo, "searched", null);
  } catch (error) {
    if (error.code?.startsWith("photo_")) {
      remove(photo);
      refuse(photo.file, error.message);
    } else photo.problem = error.message;
  } finally {
    photo.item.removeAttribute("aria-busy");
    showNotes();
  }
}

function refuse({ name }, problem) {
  refusals.push(say(words.photo_refused, { name, problem }));
}

/** Draws everybody `detected` in the photo, and who is `selected` unless a box is drawn; null: all of the photo. */
function showPeople(photo, detected, selected) {
  photo.people = detected;
  draw(photo, "other", null);
  draw(photo, "searched", null);
  const meant = String(selected ?? detected[0]); // without a selection one person fills the photo, or nobody is in it
  for (const box of detected.filter((one) => String(one) !== meant)) addBox(photo, "other", box);
  draw(photo, "searched", selected ?? [0, 0, photo.width, photo.height]);
  const choices = detected.length < 2 ? [] : detected.map((box, index) => choice(photo, box, index));
  $(".people", photo.item).replaceChildren(...choices);
  markChoice(photo);
}

function choice(photo, box, index) {
  const [left, top] = box;
  const label = shape("text", { class: "other", x: left + photo.width / 80, y: top + photo.width / 18 }, index + 1);
  label.style.fontSize = `${photo.width / 20}px`;
  photo.drawing.append(label);
  const name = say(words.person_in_photo, { number: index + 1 });
  const button = element("button", { type: "button", textContent: index + 1, title: name, ariaLabel: name });
  button.addEventListener("click", () => setBox(photo, box));
  return button;
}

function markChoice({ item, people, box }) {
  for (const [index, button] of all(".people button", item).entries()) {
    button.setAttribute("aria-pressed", String(people[index]) === String(box));
  }
}

/** Says of each photo what the operator must know before the search, and which photos were refused. */
function showNotes() {
  const ofPhoto = ({ people, problem, box }, index) => {
    const number = index + 1;
    if (problem && !people) return say(words.not_looked_at, { number, problem });
    if (!people || box) return null;
    if (!people.length) return say(words.nobody_in_photo, { number });
    return people.length > 1 ? say(words.several_in_photo, { number, people: people.length }) : null;
  };
  const notes = [...refusals, ...photos.map(ofPhoto).filter(Boolean)];
  $("#photo-notes").replaceChildren(...notes.map((textContent) => element("li", { textContent })));
}

export function clearPhotos() {
  refusals = [];
  for (const photo of [...photos]) remove(photo);
}

/** Whether `file` is HEIC, as iPhones store photos, which the service cannot read; Windows does not know its type. */
function isHeif({ type, name }) {
  return type ? /^image\/hei[cf]/.test(type) : /\.hei[cf]$/i.test(name);
}

/** `file` upright as a JPEG of at most `most` pixels a side; itself if it is small enough or no picture. */
async function scaled(file, most) {
  const picture = await createImageBitmap(file).catch(() => null); // upright, by the photo's own note
  if (!picture) return file;
  const factor = Math.min(1, most / Math.max(picture.width, picture.height));
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
  const picture = await createImageBitmap(file).catch(() => null);
  const drawing = shape("svg", { tabindex: 0, role: "img" });
  if (picture) drawing.append(shape("image", { href: address }));
  const button = element("button", { type: "button", textContent: "✕" });
  const people = element("p", { className: "people" });
  people.setAttribute("role", "group");
  const name = picture ? "" : element("small", { textContent: file.name }); // the browser cannot show the photo
  const item = element("li", {}, drawing, name, people, button);
  const photo = { file, address, item, drawing, isSeen: Boolean(picture), box: null, people: null };
  setSize(photo, picture?.width ?? 120, picture?.height ?? 160);
  button.addEventListener("click", () => {
    const next = item.nextElementSibling ?? item.previousElementSibling;
    remove(photo);
    (next ? $(":scope > button", next) : field).focus();
  });
  drawing.addEventListener("pointerdown", (event) => drag(photo, event));
  drawing.addEventListener("keydown", (event) => moveByKey(photo, event));
  photos.push(photo);
  list.append(item);
  renumber();
  return photo;
}

function setSize(photo, width, height) {
  Object.assign(photo, { width, height });
  photo.drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
  for (const size of Object.entries({ width, height })) $("image", photo.drawing)?.setAttribute(...size);
  photo.item.classList.toggle("wide", width > height);
}

function remove(photo) {
  if (!photos.includes(photo)) return;
  photos.splice(photos.indexOf(photo), 1);
  photo.item.remove();
  URL.revokeObjectURL(photo.address);
  renumber();
}

function renumber() {
  for (const [index, { drawing, item }] of photos.entries()) {
    drawing.setAttribute("aria-label", say(words.photo_number, { number: index + 1 }));
    const button = $(":scope > button", item);
    $(".people", item).setAttribute("aria-label", say(words.people_in_photo, { number: index + 1 }));
    button.title = say(words.remove_photo, { number: index + 1 });
    button.setAttribute("aria-label", button.title);
  }
  $("#searched").hidden = true;
  showNotes();
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
  markChoice(photo);
  showNotes();
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
