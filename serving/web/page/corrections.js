// Corrects an attribute of a sighting, in a dialog.

import { groupsOfForm } from "./attributes.js";
import { chosenCase, correctedOf } from "./cases.js";
import { $, element, words } from "./dom.js";
import { fetchJson, json } from "./service.js";
import { placeOf, timeOf } from "./times.js";

const dialog = $("#correct");
const [groupField, labelField, problem] = ["group", "label", "problem"].map((name) => $(`#correct-${name}`));
let seen; // the sighting that is corrected

const option = (value, textContent) => element("option", { value, textContent });

function showLabels() {
  const { labels } = groupsOfForm().find(({ group }) => group === groupField.value);
  labelField.replaceChildren(option("", words.as_seen), ...labels.map(({ label, name }) => option(label, name)));
  labelField.value = correctedOf(seen)[groupField.value] ?? "";
}

document.addEventListener("correct", ({ detail }) => {
  seen = detail;
  problem.hidden = true;
  $("#correct-place").textContent = `${placeOf(seen)} · ${timeOf(seen, seen.first_seen)}`;
  groupField.replaceChildren(...groupsOfForm().map(({ group, name }) => option(group, name)));
  showLabels();
  dialog.showModal();
});
groupField.addEventListener("change", showLabels);
$("#cancel-correction").addEventListener("click", () => dialog.close());
$("#save-correction").addEventListener("click", async () => {
  const { district, tracklet_id } = seen;
  const right = { district, tracklet_id, group: groupField.value, label: labelField.value || null };
  const read = chosenCase();
  try {
    const { corrections } = await fetchJson(`v1/cases/${read.id}/corrections`, json(right));
    read.corrections = corrections;
    document.dispatchEvent(new Event("corrected"));
    dialog.close();
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
});
