// Cards of sightings, and what the operator says of each.

import { $, all, ask, attempt, chance, json, percent, placeOf, say, timeOf, timesOf, words } from "./asking.js";
import { describedAttributes } from "./attributes.js";
import { chosenCase, keyOf, setVerdict } from "./cases.js";

const VERDICT_OF_KEY = { KeyC: "confirmed", KeyR: "rejected" }; // places on the keyboard, whatever language it types
const sightingOf = new WeakMap(); // card -> sighting

/** Cards of what a search found; `kind` says what the probability is of, `asked` the attributes that were asked for. */
export function showHits(sightings, kind, asked) {
  $("#hits").replaceChildren(
    ...sightings.map((seen) => {
      const { confirmed, match_probability: probability } = seen;
      const item = confirmed ? card(seen, words.certain, percent(1)) : card(seen, kind, chance(probability));
      $("[data-slot=model]", item).textContent = `${words.model} ${seen.model_version}`;
      $("[data-slot=attributes]", item).append(...describedAttributes(seen.attributes, asked));
      return item;
    }),
  );
}

/** Cards of what was judged in the case. */
export function showJudged() {
  const { verdicts } = chosenCase();
  $("#nothing-judged").hidden = verdicts.length > 0;
  const judgedBy = (seen) => say(words.judged_by, { account: seen.account, time: timeOf(seen, seen.at) });
  $("#judged").replaceChildren(...verdicts.map((seen) => card(seen, judgedBy(seen))));
}

function card(seen, kind, probability = "") {
  const item = $("#hit").content.cloneNode(true).firstElementChild;
  const fill = (slot, text) => ($(`[data-slot=${slot}]`, item).textContent = text);
  const isStored = seen.camera_id !== null;
  if (isStored) $("img", item).src = cropOf(seen);
  fill("kind", kind);
  fill("probability", probability);
  fill("camera", isStored ? placeOf(seen) : words.removed);
  fill("times", isStored ? timesOf(seen, seen.first_seen, seen.last_seen) : "");
  $(".verdict", item).hidden = !isStored || Boolean(chosenCase().closed);
  item.setAttribute("aria-label", `${isStored ? placeOf(seen) : words.removed}, ${kind} ${probability}`);
  sightingOf.set(item, seen);
  mark(item);
  return item;
}

/** Address of a sighting's picture, for the case that is chosen. */
export const cropOf = ({ district, tracklet_id }) =>
  `v1/crops/${encodeURIComponent(district)}/${tracklet_id}?case=${chosenCase().id}`;

function mark(item) {
  const verdict = chosenCase().given.get(keyOf(sightingOf.get(item))) ?? "none";
  item.dataset.verdict = verdict;
  for (const button of all(".verdict button", item)) {
    button.setAttribute("aria-pressed", button.dataset.verdict === verdict);
  }
}

let sending = Promise.resolve(); // one verdict after the other, so that the last one given counts

/** Gives the card a verdict, or takes it back when it has it already; what the service does not keep is not shown. */
function judge(item, verdict) {
  const before = item.dataset.verdict;
  const given = before === verdict ? "none" : verdict;
  const { id } = chosenCase();
  const { district, tracklet_id } = sightingOf.get(item);
  const show = (shown) => {
    if (id === chosenCase().id) setVerdict(sightingOf.get(item), shown);
    mark(item);
  };
  show(given);
  sending = sending.then(() =>
    attempt(() =>
      ask(`v1/cases/${id}/verdicts`, json({ district, tracklet_id, verdict: given })).catch((error) => {
        show(before);
        throw error;
      }),
    ),
  );
}

/** Resolves when every verdict that was given has been sent. */
export const allSent = () => sending;

for (const list of all(".hits")) {
  list.addEventListener("click", (event) => {
    const button = event.target.closest(".verdict button");
    if (button) judge(button.closest("li[data-verdict]"), button.dataset.verdict);
  });
  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const item = event.target.closest("li[data-verdict]");
    const verdict = VERDICT_OF_KEY[event.code];
    const next = { ArrowRight: item.nextElementSibling, ArrowLeft: item.previousElementSibling }[event.code];
    if (verdict && !$(".verdict", item).hidden) judge(item, verdict);
    next?.focus();
  });
}
