// The question of the case, for the next shift: photos, notes, and the last search to go on with.

import { setAttribute } from "./attributes.js";
import { chosenCase } from "./cases.js";
import { $, all, element, say, words } from "./dom.js";
import { attempt, fetchJson, fetchResponse, json } from "./service.js";
import { clockAt, timeOf } from "./times.js";

const form = $("#search");
const photoField = $("[name=photo]");
const goOn = $("#go-on");
const ENDINGS = { "image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/bmp": "bmp" };
let question = { photos: [], notes: [], last_search: null };

const photoOf = (id) => `v1/cases/${chosenCase().id}/photos/${id}`;

/** Reads what the chosen case knows of the person, and offers to go on. */
export async function readQuestion() {
  const { id } = chosenCase();
  question = id ? await fetchJson(`v1/cases/${id}/question`) : { photos: [], notes: [], last_search: null };
  const { photos, notes, last_search: last } = question;
  const isKnown = photos.length || last;
  goOn.hidden = !isKnown || Boolean(chosenCase().closed);
  if (last) $("span", goOn).textContent = say(words.last_search, { account: last.account, time: timeOf({}, last.at), reason: last.reason });
  $("#case-photos").replaceChildren(...photos.map(photoItem));
  $("#case-notes").replaceChildren(...notes.map(noteItem));
  $("#add-note").hidden = Boolean(chosenCase().closed);
}

function photoItem({ id, account, at }) {
  const label = say(words.photo_by, { account, time: timeOf({}, at) });
  const remove = element("button", { type: "button", textContent: "✕", title: words.remove_case_photo });
  remove.setAttribute("aria-label", `${words.remove_case_photo}: ${label}`);
  remove.hidden = Boolean(chosenCase().closed);
  remove.addEventListener("click", () =>
    attempt(async () => {
      await fetchJson(`${photoOf(id)}/remove`, { method: "POST" });
      await readQuestion();
    }),
  );
  return element("li", {}, element("img", { src: photoOf(id), alt: label, title: label, height: 120 }), remove);
}

const noteItem = ({ account, at, text }) =>
  element("li", {}, element("small", { textContent: `${account} · ${timeOf({}, at)}` }), element("p", { textContent: text }));

/** Fills the form with the photos of the case and its last search. */
async function continueSearch() {
  const { question: asked, reason } = question.last_search ?? { question: {}, reason: "" };
  form.reset();
  await new Promise((done) => setTimeout(done)); // what follows a reset
  if (!form.elements.reason.value) form.elements.reason.value = reason;
  form.elements.reason.dispatchEvent(new Event("change"));
  for (const [group, answer] of Object.entries(asked.attributes ?? {})) setAttribute(group, { is: [], is_not: [], ...answer });
  for (const name of ["since", "until"]) if (asked[name]) form.elements[name].value = clockAt(asked[name]);
  const named = new Set((asked.cameras ?? "").split(","));
  for (const box of all("[name=cameras]")) box.checked = named.has(box.value);
  const files = new DataTransfer();
  for (const { id } of question.photos) {
    const photo = await (await fetchResponse(photoOf(id))).blob();
    files.items.add(new File([photo], `${id}.${ENDINGS[photo.type] ?? "tif"}`, { type: photo.type }));
  }
  if (files.files.length) {
    photoField.files = files.files;
    photoField.dispatchEvent(new Event("change", { bubbles: true }));
  }
  form.dispatchEvent(new Event("change", { bubbles: true }));
  $("#status").textContent = words.went_on;
}

$("button", goOn).addEventListener("click", () => attempt(continueSearch));
$("#add-note").addEventListener("click", (event) => {
  if (!event.target.closest("button")) return;
  attempt(async () => {
    const text = $("#note").value.trim();
    if (!text) throw new Error(words.no_note);
    await fetchJson(`v1/cases/${chosenCase().id}/notes`, json({ text }));
    $("#note").value = "";
    await readQuestion();
  });
});
