// The order of the sightings in view: by probability or time, those of one visit together.

import { $, all, say, words } from "./dom.js";

const VISIT_GAP_MS = 60_000; // between sightings at one camera that belong to one visit

/** The visits of `cards`: sightings at one camera, each at most a minute after the one before. */
export function visitsOf(cards) {
  const place = ({ seen }) => `${seen.district}/${seen.camera_id}`;
  const begin = ({ seen }) => Date.parse(seen.first_seen);
  const end = ({ seen }) => Date.parse(seen.last_seen);
  const inOrder = (one, other) => place(one).localeCompare(place(other)) || begin(one) - begin(other);
  const visits = [];
  let last = null; // end of the last visit
  for (const card of [...cards].sort(inOrder)) {
    const visit = visits.at(-1);
    if (visit && place(visit[0]) === place(card) && begin(card) - last <= VISIT_GAP_MS) {
      visit.push(card);
      last = Math.max(last, end(card));
    } else {
      visits.push([card]);
      last = end(card);
    }
  }
  return visits;
}

const byProbability = ({ seen: one }, { seen: other }) =>
  other.confirmed - one.confirmed || other.match_probability - one.match_probability;
const byTime = ({ seen: one }, { seen: other }) => Date.parse(one.first_seen) - Date.parse(other.first_seen);

/** Puts the cards, each `{ seen, item }`, into the list as the form above it says; of a visit the likeliest is in view. */
export function arrange(cards) {
  const order = $("#order").value === "time" ? byTime : byProbability;
  const visits = $("#by-visit").checked ? visitsOf(cards) : cards.map((card) => [card]);
  for (const visit of visits) visit.sort(byProbability);
  visits.sort(([one], [other]) => order(one, other));
  for (const [first, ...others] of visits) {
    const button = $("[data-visit]", first.item);
    const show = (isOpen) => {
      button.setAttribute("aria-expanded", isOpen);
      for (const { item } of others) item.hidden = !isOpen;
    };
    button.hidden = !others.length;
    button.textContent = say(words.others_of_visit, { number: others.length });
    button.onclick = () => show(button.getAttribute("aria-expanded") !== "true");
    first.item.hidden = false;
    first.item.classList.remove("of-visit");
    for (const { item } of others) {
      item.classList.add("of-visit");
      $("[data-visit]", item).hidden = true;
    }
    show(false);
  }
  $("#hits").replaceChildren(...visits.flat().map(({ item }) => item)); // moved, so no picture is asked for again
  $("#arrange").hidden = !cards.length;
}

/** The cards in view, without those of a folded visit. */
export const cardsInView = () => all("#hits > li:not([hidden])");
