// Watches of the case, and alerts: what a watch tells while the page is open, with a sound and in the title.

import { chosenCase } from "./cases.js";
import { $, all, chance, element, percent, say, words } from "./dom.js";
import { attempt, fetchJson } from "./service.js";
import { placeOf, shortTimeOf, timeOf } from "./times.js";

const NOT_OF_A_WATCH = ["since", "until", "top_k", "like"]; // it looks at what comes
const MOST_SHOWN = 30;
const BEEP = { hertz: 880, s: 0.25 };

const title = document.title;
const caseField = $("[name=case]");
let described = () => {}; // the search that the form describes
let unseen = 0;

/** Lets the operator watch for the person that `search` describes. */
export function offerWatch(search) {
  described = search;
}

/** The fields of a watch for the person of the form. */
function fields() {
  const { fields } = described();
  for (const name of NOT_OF_A_WATCH) fields.delete(name);
  fields.set("hours", $("#watch-hours").value);
  fields.set("min_probability", $("#watch-from").value);
  return fields;
}

const rounded = (number) => (number < 10 ? number.toFixed(1) : Math.round(number).toString());

async function showEstimate() {
  $("#estimate").textContent = words.estimating;
  const { at, video_hours } = await fetchJson("v1/watches/estimate", { method: "POST", body: fields() });
  $("#estimate").textContent = at.length ? say(words.estimated, { hours: rounded(video_hours) }) : words.no_estimate;
  for (const { min_probability, alarms_a_day } of at) {
    const option = all("#watch-from option").find(({ value }) => Number(value) === min_probability);
    if (option) option.textContent = `${percent(min_probability)} · ${say(words.a_day, { number: rounded(alarms_a_day) })}`;
  }
}

$("#watch").addEventListener("toggle", () => {
  if (!$("#watch").open) return;
  attempt(() =>
    showEstimate().catch((error) => {
      $("#estimate").textContent = "";
      throw error;
    }),
  );
});
$("#start-watch").addEventListener("click", () =>
  attempt(async () => {
    await fetchJson("v1/watches", { method: "POST", body: fields() });
    $("#watch").open = false;
    $("#status").textContent = words.watching;
  }),
);

/** Shows the watches of the chosen case, and what they told. */
export async function showWatches() {
  const { id } = chosenCase();
  const [{ watches }, { alerts }] = await Promise.all([
    fetchJson(`v1/watches?case=${id}`),
    fetchJson(`v1/alerts?case=${id}`),
  ]);
  $("#watches").hidden = !watches.length;
  $("#watches > ul").replaceChildren(...watches.map(watchItem));
  $("#watches > ol").replaceChildren(...alerts.map(alertItem));
}

function watchItem(watch) {
  const state = watch.is_active ? say(words.watched_until, { time: timeOf({}, watch.until) }) : words.watch_over;
  const facts = [percent(watch.min_probability), state, say(words.told, { number: watch.told }), watch.account, watch.reason];
  const end = element("button", { type: "button", textContent: words.end_watch, hidden: !watch.is_active });
  end.addEventListener("click", () =>
    attempt(async () => {
      await fetchJson(`v1/watches/${watch.id}/end`, { method: "POST" });
      await showWatches();
    }),
  );
  return element("li", {}, element("span", { textContent: facts.join(" · ") }), end);
}

function alertItem(alert) {
  const isStored = alert.camera_id !== null;
  const address = `v1/crops/${encodeURIComponent(alert.district)}/${alert.tracklet_id}?case=${alert.case_id}`;
  const place = isStored ? placeOf(alert) : words.removed;
  const time = isStored ? shortTimeOf(alert, alert.first_seen) : "";
  const text = element("span", {}, element("strong", { textContent: place }), element("br"), time, element("br"));
  text.append(`${chance(alert.match_probability)} · ${say(words.of_case, { number: alert.case_id })}`);
  const button = element("button", { type: "button", className: "told", disabled: !isStored });
  if (isStored) button.append(element("img", { src: address, alt: "" }));
  button.append(text);
  button.addEventListener("click", () => open(alert));
  return element("li", {}, button);
}

/** Shows the recording behind an alert, for its case. */
function open(alert) {
  const show = () => document.dispatchEvent(new CustomEvent("footage", { detail: alert }));
  if (chosenCase().id === alert.case_id) return show();
  caseField.value = String(alert.case_id);
  document.addEventListener("verdict", show, { once: true }); // when the case is read
  caseField.dispatchEvent(new Event("change"));
}

// --- while the page is open ---

function tell(alert) {
  $("#alerts ol").prepend(alertItem(alert));
  for (const old of all(`#alerts li:nth-child(n + ${MOST_SHOWN + 1})`)) old.remove();
  $("#alerts").hidden = false;
  unseen += 1;
  document.title = `(${unseen}) ${title}`;
  beep();
}

let audio; // browsers let a page make a sound only after a person has used it
for (const gesture of ["pointerdown", "keydown"]) {
  document.addEventListener(gesture, () => (audio ??= new AudioContext()), { once: true });
}

/** Makes a sound, if the operator wants sounds. */
export function beep() {
  if (!audio || !$("#sound").checked) return;
  const tone = new OscillatorNode(audio, { frequency: BEEP.hertz });
  tone.connect(audio.destination);
  tone.start();
  tone.stop(audio.currentTime + BEEP.s);
}

$("#alerts-seen").addEventListener("click", () => {
  unseen = 0;
  document.title = title;
  $("#alerts").hidden = true;
  $("#alerts ol").replaceChildren();
});

export const events = new EventSource("v1/alerts/events"); // alerts: new ones, for the case shows those before
events.addEventListener("alert", ({ data }) => tell(JSON.parse(data)));
$("#sign-out").addEventListener("submit", () => events.close());
