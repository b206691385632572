// A sentence about the person that fills in the form, and the conditions of the form as chips.

import { answeredQuestions, openQuestion, setAttribute } from "./attributes.js";
import { countChosen } from "./cameras.js";
import { $, all, element, say, words } from "./dom.js";
import { attempt, fetchJson, json } from "./service.js";

const form = $("#search");
const field = $("#sentence");
const list = $("#conditions");
const MOST_NAMES = 5; // of cameras in a chip
const TIMES = ["since", "until"];
const cameras = () => all("[name=cameras]:checked");
let read = { groups: [], cameras: [], times: [] }; // what the last sentence filled in

/** Fills in what the sentence says, in place of what the last one said. */
async function readSentence() {
  const text = field.value.trim();
  if (!text) throw new Error(words.no_sentence);
  const answer = await fetchJson("v1/sentence", json({ text }));
  forget();
  for (const [group, labels] of Object.entries(answer.attributes)) setAttribute(group, labels);
  const named = new Set(answer.cameras ?? []);
  const chosen = all("[name=cameras]").filter(({ value }) => named.has(value));
  for (const box of chosen) box.checked = true;
  countChosen();
  const times = TIMES.filter((name) => answer[name]);
  for (const name of times) form.elements[name].value = answer[name].slice(0, 19); // the cameras' clocks
  read = { groups: Object.keys(answer.attributes), cameras: chosen, times };
  const unused = answer.unused.map((part) => `“${part}”`).join(", ");
  const isNothing = !answer.parts.length;
  $("#unused").hidden = !unused && !isNothing;
  $("#unused").textContent = [isNothing && words.nothing_read, unused && say(words.unused, { words: unused })]
    .filter(Boolean)
    .join(" ");
  showConditions();
}

function forget() {
  for (const group of read.groups) setAttribute(group);
  for (const box of read.cameras) box.checked = false;
  countChosen();
  for (const name of read.times) form.elements[name].value = "";
  read = { groups: [], cameras: [], times: [] };
}

/** Shows each condition of the form as a chip: its name opens it to be corrected, its cross removes it. */
function showConditions() {
  const attributes = answeredQuestions().map(({ group, text }) =>
    chip(text, () => openQuestion(group), () => setAttribute(group)),
  );
  const times = TIMES.map((name) => form.elements[name]).filter(({ value }) => value);
  const shown = times.map((time) => `${time.labels[0].textContent.trim()} ${time.value.replace("T", " ")}`).join(" ");
  const ofTime = times.length
    ? [chip(shown, () => times[0].focus(), () => times.forEach((time) => (time.value = "")))]
    : [];
  const boxes = cameras();
  const isLong = boxes.length > MOST_NAMES;
  const named = boxes.map(({ dataset }) => dataset.name).join(", ");
  const names = isLong ? say(words.cameras_chosen, { number: boxes.length }) : named;
  const open = () => {
    boxes[0].closest("details").open = true;
    boxes[0].focus();
  };
  const ofPlace = boxes.length
    ? [chip(names, open, () => {
        boxes.forEach((box) => (box.checked = false));
        countChosen();
      })]
    : [];
  list.replaceChildren(...attributes, ...ofTime, ...ofPlace);
}

function chip(text, open, remove) {
  const name = element("button", { type: "button", textContent: text, title: words.correct_condition });
  const label = say(words.remove_condition, { condition: text });
  const cross = element("button", { type: "button", textContent: "✕", title: label, ariaLabel: label });
  name.addEventListener("click", open);
  cross.addEventListener("click", () => {
    remove();
    showConditions();
    (list.querySelector("button") ?? field).focus();
  });
  return element("li", { className: "chip" }, name, cross);
}

if (field) {
  $("#read-sentence").addEventListener("click", () => attempt(readSentence));
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    attempt(readSentence);
  });
  form.addEventListener("change", ({ target }) => {
    if (target !== field) showConditions(); // leaving the sentence must not take the focus from its chips
  });
  form.addEventListener("reset", () =>
    setTimeout(() => {
      read = { groups: [], cameras: [], times: [] };
      $("#unused").hidden = true;
      showConditions();
    }),
  );
}
