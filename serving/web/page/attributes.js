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
  if (!labels.length) throw new Error(say(words.noLabel, question.dataset.name));
  return { [$("select", question).value]: labels, or_unknown: $("[data-or-unknown]", question).checked };
}

const isSeldomAsked = (group) => questions.some((one) => one.dataset.group === group && one.closest("details"));

/** List items of the surest of group -> label -> probability, but for groups that are seldom asked. */
export function surestAttributes(described) {
  return Object.entries(described)
    .filter(([group]) => !isSeldomAsked(group))
    .map(([group, labels]) => [group, ...Object.entries(labels).reduce((best, one) => (one[1] > best[1] ? one : best))])
    .sort((one, other) => other[2] - one[2])
    .slice(0, SHOWN)
    .map(([group, label, probability]) => {
      const question = questions.find(({ dataset }) => dataset.group === group);
      const box = question && all("input", question).find(({ value }) => value === label);
      const swatch = box && $(".swatch", box.parentElement);
      const name = box ? $("[data-label]", box.parentElement).textContent : label;
      const text = `${question?.dataset.name ?? group}: ${name} ${percent(probability)}`;
      return element("li", {}, ...(swatch ? [swatch.cloneNode()] : []), text);
    });
}
