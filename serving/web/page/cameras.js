// The list of cameras: found by name, chosen by district, and which of them are away now.

import { $, all, element, say, words } from "./dom.js";
import { fetchJson, showProblem } from "./service.js";
import { timeOf } from "./times.js";

const boxes = all("[name=cameras]");
const districts = all(".cameras .district");
const search = $("#camera-search");
const AGAIN_MS = 60_000;
let away = new Map(); // district/id -> since

/** Whether the camera sends no pictures now. */
export const isAway = ({ district, id }) => away.has(`${district}/${id}`);

search?.addEventListener("input", () => {
  const wanted = search.value.trim().toLowerCase();
  for (const district of districts) {
    const labels = all("label:has([name=cameras])", district);
    for (const label of labels) {
      const { value, dataset } = $("input", label);
      label.hidden = !`${dataset.name} ${value}`.toLowerCase().includes(wanted);
    }
    district.hidden = labels.every(({ hidden }) => hidden);
    if (wanted) district.open = true;
  }
});
search?.addEventListener("keydown", (event) => {
  if (event.key === "Enter") event.preventDefault(); // it would start the search for the person
});

for (const district of districts) {
  const whole = $("[data-whole]", district);
  whole.addEventListener("change", () => {
    for (const box of all("[name=cameras]", district)) box.checked = whole.checked;
  });
}

/** Shows how many cameras of each district are chosen. */
export function countChosen() {
  for (const district of districts) {
    const ofDistrict = all("[name=cameras]", district);
    const number = ofDistrict.filter(({ checked }) => checked).length;
    const whole = $("[data-whole]", district);
    whole.checked = number === ofDistrict.length;
    whole.indeterminate = number > 0 && !whole.checked;
    $("output", district).textContent = number ? say(words.cameras_chosen, { number }) : "";
  }
}

async function markAway() {
  const { cameras } = await fetchJson("v1/cameras");
  away = new Map(cameras.filter((one) => one.away_since).map((one) => [`${one.district}/${one.id}`, one]));
  for (const box of boxes) {
    $(".away", box.parentElement)?.remove();
    const camera = away.get(box.value);
    if (!camera) continue;
    const time = timeOf({ district: camera.district, camera_id: camera.id }, camera.away_since);
    box.parentElement.append(element("small", { className: "away", textContent: say(words.away_since, { time }) }));
  }
  for (const district of districts) {
    const number = all("label .away", district).length;
    $("[data-away]", district).textContent = number ? say(words.cameras_away, { number }) : "";
  }
  document.dispatchEvent(new Event("away"));
}

$("#search").addEventListener("change", countChosen);
$("#search").addEventListener("reset", () => setTimeout(countChosen));
countChosen();
if (boxes.length) {
  markAway().catch(showProblem);
  setInterval(() => document.hidden || markAway().catch(() => {}), AGAIN_MS); // a lost network is said by searches
}
