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

const questionOf = (group) => questions.find(({ dataset }) => dataset.group === group);
export const nameOfGroup = (group) => questionOf(group)?.dataset.name ?? group;

/** Answers the question about a group as a search takes it (`is` or `is_not`); undefined clears it. */
export function setAttribute(group, answer) {
  const question = questionOf(group);
  const kind = !answer ? "" : answer.is.length ? "is" : "is_not";
  $("select", question).value = kind;
  $(".labels", question).hidden = !kind;
  for (const box of all("input", question)) box.checked = Boolean(kind) && answer[kind].includes(box.value);
}

/** Unfolds the question about a group and puts the focus on its labels. */
export function openQuestion(group) {
  const question = questionOf(group);
  const folded = question.closest("details");
  if (folded) folded.open = true;
  question.scrollIntoView({ block: "center" });
  const labels = $(".labels", question);
  $(labels.hidden ? "select" : "input", labels.hidden ? question : labels).focus();
}

/** The answered questions: group and its words, such as "colour: not red". */
export function answeredQuestions() {
  return questions
    .filter((question) => $("select", question).value)
    .map((question) => {
      const chosen = all("input:checked:not([data-or-unknown])", question);
      const labels = chosen.map((box) => $("[data-label]", box.parentElement).textContent).join(", ");
      const isNot = $("select", question).value === "is_not";
      const text = `${question.dataset.name}: ${labels || "?"}`;
      return { group: question.dataset.group, text: isNot ? say(words.is_not, { attribute: text }) : text };
    });
}

/** The groups of the form: { group, name, labels: [{ label, name }] }. */
export const groupsOfForm = () =>
  questions.map((question) => ({
    group: question.dataset.group,
    name: question.dataset.name,
    labels: all("input:not([data-or-unknown])", question).map((box) => ({
      label: box.value,
      name: $("[data-label]", box.parentElement).textContent,
    })),
  }));

const isRare = (group) => questions.some((one) => one.dataset.group === group && one.closest("details"));

/**
 * List items of a sighting's attributes, `described` as group -> label -> probability: the labels of the search
 * (`searched`, as `chosenAttributes`), then the likeliest label of each other group, the most certain first. Groups
 * folded under "More" are left out. `corrected` has the labels that people gave, as group -> label; they come first.
 */
export function describedAttributes(described, searched, corrected) {
  const right = Object.entries(corrected).map(([group, label]) => item([group, label, null], "corrected"));
  const chosen = Object.entries(searched).flatMap(([group, { is = [], is_not: isNot = [] }]) =>
    [...is, ...isNot].map((label) => [group, label, described[group]?.[label]]),
  );
  const likeliest = Object.entries(described)
    .filter(([group]) => !isRare(group) && !(group in corrected))
    .map(([group, labels]) => [group, ...Object.entries(labels).reduce((best, one) => (one[1] > best[1] ? one : best))])
    .filter(([group, label]) => !chosen.some((one) => one[0] === group && one[1] === label))
    .sort((one, other) => other[2] - one[2])
    .slice(0, MOST_SHOWN);
  const wanted = chosen.filter(([group]) => !(group in corrected));
  return [...right, ...wanted.map((one) => item(one, "searched")), ...likeliest.map((one) => item(one, ""))];
}

function item([group, label, probability], className) {
  const question = questions.find(({ dataset }) => dataset.group === group);
  const box = question && all("input", question).find(({ value }) => value === label);
  const swatch = box && $(".swatch", box.parentElement);
  const name = box ? $("[data-label]", box.parentElement).textContent : label;
  const share = probability === null ? words.corrected : probability === undefined ? "?" : percent(probability);
  const text = `${question?.dataset.name ?? group}: ${name} ${share}`;
  return element("li", { className }, ...(swatch ? [swatch.cloneNode()] : []), text);
}
