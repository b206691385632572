// What is known of the person in words: of each group nothing, which labels fit, or which do not.

import { $, all, element, percent, say, words } from "./asking.js";

const SHOWN = 5;
const questions = all(".question");

for (const question of questions) {
  const kind = $("select", question);
  kind.addEventListener("change", () => ($(".labels", question).hidden = !kind.value));
}

/** After the form has been reset. */
export const foldAttributes = () => questions.forEach((question) => ($(".labels", question).hidden = true));

/** What `attributes` of a search takes. */
export function askedAttributes() {
  const asked = questions.filter((question) => $("select", question).value);
  return Object.fromEntries(asked.map((question) => [question.dataset.group, answerOf(question)]));
}

function answerOf(question) {
  const labels = all("input:checked:not([data-or-unknown])", question).map((box) => box.value);
  if (!labels.length) throw new Error(say(words.no_label, { group: question.dataset.name }));
  return { [$("select", question).value]: labels, or_unknown: $("[data-or-unknown]", question).checked };
}

const isSeldomAsked = (group) => questions.some((one) => one.dataset.group === group && one.closest("details"));

/**
 * List items of group -> label -> probability: every label that was `asked` for, then the surest others, one a group, but
 * for groups that are seldom asked.
 */
export function describedAttributes(described, asked) {
  const wanted = Object.entries(asked).flatMap(([group, { is = [], is_not: isNot = [] }]) =>
    [...is, ...isNot].map((label) => [group, label, described[group]?.[label]]),
  );
  const surest = Object.entries(described)
    .filter(([group]) => !isSeldomAsked(group))
    .map(([group, labels]) => [group, ...Object.entries(labels).reduce((best, one) => (one[1] > best[1] ? one : best))])
    .filter(([group, label]) => !wanted.some((one) => one[0] === group && one[1] === label))
    .sort((one, other) => other[2] - one[2])
    .slice(0, SHOWN);
  return [...wanted.map((one) => item(one, "asked")), ...surest.map((one) => item(one, ""))];
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
