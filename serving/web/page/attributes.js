// Attributes of the person: for each group any label, some labels, or all but some.

import { $, all, element, percent, say, words } from "./dom.js";

const MOST_SHOWN = 5; // attributes of a sighting besides those searched for
const questions = all(".question");

for (const question of questions) {
  const kind = $("select", question);
  kind.addEventListener("change", () => ($(".labels", question).hidden = !kind.value));
}

/** Hides the labels of all groups, after a reset of the form. */
export const foldAttributes = () => questions.forEach((question) => ($(".labels", question).hidden = true));

/** The field `attributes` of a search. */
export function chosenAttributes() {
  const answered = questions.filter((question) => $("select", question).value);
  return Object.fromEntries(answered.map((question) => [question.dataset.group, answerOf(question)]));
}

function answerOf(question) {
  const labels = all("input:checked:not([data-or-unknown])", question).map((box) => box.value);
  if (!labels.length) throw new Error(say(words.no_label, { group: question.dataset.name }));
  return { [$("select", question).value]: labels, or_unknown: $("[data-or-unknown]", question).checked };
}

const isRare = (group) => questions.some((one) => one.dataset.group === group && one.closest("details"));

/**
 * List items of a sighting's attributes, `described` as group -> label -> probability: the labels of the search
 * (`searched`, as `chosenAttributes`), then the likeliest label of each other group, the most certain first. Groups
 * folded under "More" are left out.
 */
export function describedAttributes(described, searched) {
  const chosen = Object.entries(searched).flatMap(([group, { is = [], is_not: isNot = [] }]) =>
    [...is, ...isNot].map((label) => [group, label, described[group]?.[label]]),
  );
  const likeliest = Object.entries(described)
    .filter(([group]) => !isRare(group))
    .map(([group, labels]) => [group, ...Object.entries(labels).reduce((best, one) => (one[1] > best[1] ? one : best))])
    .filter(([group, label]) => !chosen.some((one) => one[0] === group && one[1] === label))
    .sort((one, other) => other[2] - one[2])
    .slice(0, MOST_SHOWN);
  return [...chosen.map((one) => item(one, "searched")), ...likeliest.map((one) => item(one, ""))];
}

function item([group, label, probability], className) {
  const question = questions.find(({ dataset }) => dataset.group === group);
  const box = question && all("input", question).find(({ value }) => value === label);
  const swatch = box && $(".swatch", box.parentElement);
  const name = box ? $("[data-label]", box.parentElement).textContent : label;
  const share = probability === undefined ? "?" : percent(probability);
  const text = `${question?.dataset.name ?? group}: ${name} ${share}`;
  return element("li", { className }, ...(swatch ? [swatch.cloneNode()] : []), text);
}
