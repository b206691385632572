// Elements of the page, and its words.

export const $ = (selector, inside = document) => inside.querySelector(selector);
export const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
export const words = JSON.parse($("#words").textContent); // of words.<language>.yaml

/** `text` with each {name} replaced by that of `values`. */
export const say = (text, values) => text.replace(/{(\w+)}/g, (_, name) => values[name]);
export const percent = (fraction) => `${Math.round(100 * fraction)}%`;
/** A match probability, in percent; never 100 %, as the match is not confirmed. */
export const chance = (probability) => percent(Math.min(probability, 0.99));

/** An element with these properties and children; values enter as text, never as HTML. */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** An element of a drawing. */
export function shape(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}
