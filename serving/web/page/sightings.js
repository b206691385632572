// Cards of sightings, and the operator's verdict on each.

import { describedAttributes } from "./attributes.js";
import { chosenCase, correctedOf, keyOf, setVerdict } from "./cases.js";
import { $, all, chance, element, percent, say, words } from "./dom.js";
import { attempt, fetchJson, json } from "./service.js";
import { placeOf, timeOf, timesOf } from "./times.js";
import { arrange, cardsInView } from "./visits.js";

const VERDICT_OF_KEY = { KeyC: "confirmed", KeyR: "rejected" }; // positions on the keyboard, in any language
const STANDINGS = { confirmed: words.two_confirmed, rejected: words.two_rejected, open: words.second_missing };
const sightingOf = new WeakMap(); // card -> sighting

let searchedFor = {}; // attributes of the search in view
let found = []; // the cards of the search in view: { seen, item }
let rejectedAtOnce = []; // cards
const noneOfThese = $("#none-of-these").textContent;

/**
 * Shows a search's sightings as cards, confirmed ones first, then by the probability that stands on them or by time;
 * `kind` names the probability, `searched` are the attributes of the search.
 */
export function showHits(sightings, kind, searched) {
  searchedFor = searched;
  found = sightings.map((seen) => {
    const { confirmed, match_probability: probability } = seen;
    const item = confirmed ? card(seen, words.certain, percent(1)) : card(seen, kind, chance(probability));
    $("[data-slot=probability]", item).title = `${words.model} ${seen.model_version}`;
    $("[data-slot=evidence]", item).append(...describedEvidence(seen.evidence));
    describe(item);
    return { seen, item };
  });
  forgetRejected();
  arrange(found);
}

for (const field of [$("#order"), $("#by-visit")]) field.addEventListener("change", () => arrange(found));

function forgetRejected() {
  rejectedAtOnce = [];
  $("#none-of-these").textContent = noneOfThese;
}

/** Rejects the cards in view that are not judged; once more takes these verdicts back. */
$("#none-of-these").addEventListener("click", () => {
  const again = rejectedAtOnce.filter(({ dataset }) => dataset.verdict === "rejected");
  const cards = again.length ? again : cardsInView().filter(({ dataset }) => dataset.verdict === "none");
  forgetRejected();
  for (const item of cards) judge(sightingOf.get(item), "rejected");
  if (again.length || !cards.length) return;
  rejectedAtOnce = cards;
  $("#none-of-these").textContent = words.take_back;
});

/** What looks, words, and place and time made of the probability: times likelier, or times less likely. */
function describedEvidence(evidence) {
  if (!evidence || !(evidence.words || evidence.place_and_time)) return []; // the looks alone are the probability
  const shares = [
    [words.evidence_looks, evidence.looks],
    [words.evidence_words, evidence.words],
    [words.evidence_place_and_time, evidence.place_and_time],
  ];
  return shares
    .filter(([, nats]) => nats)
    .map(([name, nats]) => {
      const factor = Math.min(999, Math.exp(Math.abs(nats)));
      const number = `${nats >= 0 ? "×" : "÷"}${factor.toFixed(factor < 9.95 ? 1 : 0)}`;
      return element("li", { className: nats >= 0 ? "for" : "against", textContent: `${name} ${number}` });
    });
}

/** Shows the judged sightings of the case as cards. */
export function showJudged() {
  const { verdicts, to_judge } = chosenCase();
  $("#nothing-judged").hidden = verdicts.length > 0;
  const judgedBy = (seen) => say(words.judged_by, { account: seen.judges.join(", "), time: timeOf(seen, seen.at) });
  $("#judged").replaceChildren(...verdicts.map((seen) => card(seen, judgedBy(seen))));
  $("#for-second").hidden = !to_judge.length;
  $("#second").replaceChildren(...to_judge.map((seen) => card(seen, "")));
}

function card(seen, kind, probability = "") {
  const item = $("#hit").content.cloneNode(true).firstElementChild;
  const fill = (slot, text) => ($(`[data-slot=${slot}]`, item).textContent = text);
  const isStored = seen.camera_id !== null;
  if (isStored) $("img", item).src = cropOf(seen);
  $(".picture", item).disabled = !isStored;
  fill("kind", kind);
  fill("probability", probability);
  fill("camera", isStored ? placeOf(seen) : words.removed);
  fill("times", isStored ? timesOf(seen, seen.first_seen, seen.last_seen) : "");
  $("[data-trail]", item).hidden = !isStored;
  for (const part of all(".verdict, [data-like], [data-correct]", item)) part.hidden = !isStored || Boolean(chosenCase().closed);
  item.setAttribute("aria-label", `${isStored ? placeOf(seen) : words.removed}, ${kind} ${probability}`);
  sightingOf.set(item, seen);
  describe(item);
  mark(item);
  return item;
}

/** Shows the attributes of a card. */
function describe(item) {
  const seen = sightingOf.get(item);
  const attributes = describedAttributes(seen.attributes ?? {}, seen.attributes ? searchedFor : {}, correctedOf(seen));
  $("[data-slot=attributes]", item).replaceChildren(...attributes);
}

document.addEventListener("corrected", () => all(".hits > li").forEach(describe));

/** Address of a sighting's crop, for the chosen case. */
export const cropOf = ({ district, tracklet_id }) =>
  `v1/crops/${encodeURIComponent(district)}/${tracklet_id}?case=${chosenCase().id}`;

function mark(item) {
  const key = keyOf(sightingOf.get(item));
  const verdict = chosenCase().given.get(key) ?? "none";
  item.dataset.verdict = verdict;
  const isNoted = !underWay.includes(key);
  item.ariaBusy = !isNoted;
  $("[data-slot=standing]", item).textContent =
    chosenCase().second_person && isNoted ? (STANDINGS[chosenCase().counted.get(key)] ?? "") : "";
  for (const button of all(".verdict button", item)) {
    button.setAttribute("aria-pressed", button.dataset.verdict === verdict);
  }
}

let sending = Promise.resolve(); // verdicts are sent one after the other, so that the last counts
const underWay = []; // keys of the sightings whose verdicts the service has not noted yet

addEventListener("beforeunload", (event) => underWay.length && event.preventDefault()); // the browser asks first

/** Gives a sighting a verdict, or takes the same verdict back; a verdict that the service refuses is undone. */
export function judge(seen, verdict) {
  const key = keyOf(seen);
  const before = chosenCase().given.get(key) ?? "none";
  const stood = chosenCase().counted.get(key);
  const given = before === verdict ? "none" : verdict;
  const { id } = chosenCase();
  const { district, tracklet_id } = seen;
  const markCards = () => all(".hits > li").filter((item) => keyOf(sightingOf.get(item)) === key).forEach(mark);
  const show = (shown, standing) => {
    if (id === chosenCase().id) setVerdict(seen, shown, standing);
    markCards();
  };
  const noted = () => {
    underWay.splice(underWay.indexOf(key), 1);
    markCards();
  };
  underWay.push(key);
  show(given);
  sending = sending.then(() =>
    attempt(() =>
      fetchJson(`v1/cases/${id}/verdicts`, json({ district, tracklet_id, verdict: given })).then(
        ({ standing }) => chosenCase().second_person && (chosenCase().given.get(key) ?? "none") === given && show(given, standing),
        (error) => {
          show(before, stood);
          throw error;
        },
      ).finally(noted),
    ),
  );
}

/** Asks footage.js to show the recording behind a card. */
const openFootage = (item) => document.dispatchEvent(new CustomEvent("footage", { detail: sightingOf.get(item) }));

/** Resolves when every verdict has been sent. */
export const allSent = () => sending;

for (const list of all(".hits")) {
  list.addEventListener("click", (event) => {
    const button = event.target.closest(".verdict button");
    const item = event.target.closest("li[data-verdict]");
    if (button) judge(sightingOf.get(item), button.dataset.verdict);
    else if (event.target.closest(".picture")) openFootage(item);
    for (const asked of ["like", "correct", "trail"]) {
      if (event.target.closest(`[data-${asked}]`)) document.dispatchEvent(new CustomEvent(asked, { detail: sightingOf.get(item) }));
    }
  });
  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const item = event.target.closest("li[data-verdict]");
    const verdict = VERDICT_OF_KEY[event.code];
    const cards = all(":scope > li:not([hidden])", list);
    const next = cards[cards.indexOf(item) + ({ ArrowRight: 1, ArrowLeft: -1 }[event.code] ?? Infinity)];
    if (verdict && !$(".verdict", item).hidden) judge(sightingOf.get(item), verdict);
    if (event.code === "Enter" && event.target === item && !$(".picture", item).disabled) {
      event.preventDefault(); // the dialog's button, which gets the focus, must not be pressed by it
      openFootage(item);
    }
    next?.focus();
  });
}
