// Elements of the page, its words in its language, and questions to /v1.

export const $ = (selector, inside = document) => inside.querySelector(selector);
export const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
export const words = JSON.parse($("#words").textContent); // of words.<language>.yaml
const language = document.documentElement.lang;

/** `text` with each {name} replaced by that of `values`. */
export const say = (text, values) => text.replace(/{(\w+)}/g, (_, name) => values[name]);
export const percent = (fraction) => `${Math.round(100 * fraction)}%`;
/** A probability that nobody has confirmed is never shown as certain. */
export const chance = (probability) => percent(Math.min(probability, 0.99));
export const json = (content, method = "POST") =>
  ({ method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });

/** An element with these properties and children; whatever is given enters as text, never as HTML. */
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

/** The answer of the service, or an Error in plain words whose cause is the service's own message. */
export async function fetchAnswer(address, request) {
  const answer = await fetch(address, request).catch((cause) => {
    if (cause.name === "AbortError") throw cause;
    throw new Error(words.unreachable);
  });
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({}));
  const kind = answer.headers.has("Retry-After") ? "busy" : `status_${answer.status}`;
  throw new Error(words[kind] ?? words.failed, { cause: error });
}

/** What the service answers as JSON; nothing where it answers nothing. */
export async function ask(address, request) {
  const answer = await fetchAnswer(address, request);
  return answer.status === 204 ? undefined : answer.json();
}

/** Runs `work`; what goes wrong is shown to the operator. */
export async function attempt(work) {
  $("#problem").replaceChildren();
  try {
    await work();
  } catch (error) {
    if (error.name === "AbortError") return; // a newer search took its place
    $("#status").textContent = "";
    $("#problem").replaceChildren(
      element("p", { textContent: error.message }),
      element("small", { textContent: error.cause ?? "", lang: "en" }),
    );
  }
}

// --- cameras and their time ---

const cameras = new Map(
  all("[name=cameras]").map(({ value, dataset }) => [
    value,
    { ...dataset, latitude: Number(dataset.latitude), longitude: Number(dataset.longitude) },
  ]),
);
export const districtCameras = (districts) => [...cameras.values()].filter(({ district }) => districts.has(district));
const cameraOf = ({ district, camera_id }) => cameras.get(`${district}/${camera_id}`);
export const placeOf = (seen) => cameraOf(seen)?.name ?? seen.camera_id;
export const homeZone = () => $("[name=cameras]")?.dataset.timeZone ?? "UTC";
const zoneOf = (seen) => cameraOf(seen)?.timeZone ?? homeZone();
const formatOf = (timeZone, style) => new Intl.DateTimeFormat(language, { ...style, timeZone, hourCycle: "h23" });
const WHOLE = { dateStyle: "medium", timeStyle: "medium" };
const SHORT = { month: "numeric", day: "numeric", hour: "numeric", minute: "2-digit", second: "2-digit" };

/** A moment as clocks where `seen` was seen show it. */
export const timeOf = (seen, time, style = WHOLE) => formatOf(zoneOf(seen), style).format(new Date(time));

/** The same, short. */
export const shortTimeOf = (seen, time) => timeOf(seen, time, SHORT);

/** From one moment to another, without saying the same day twice. */
export function timesOf(seen, from, until) {
  const [begin, end] = [from, until].map((time) => timeOf(seen, time, { dateStyle: "medium" }));
  return `${timeOf(seen, from)} – ${timeOf(seen, until, begin === end ? { timeStyle: "medium" } : WHOLE)}`;
}

/** The moment at which clocks of the first district show `local`, such as 2026-05-01T09:00. */
export function moment(local) {
  const asUtc = new Date(`${local}Z`);
  const shown = new Date(`${asUtc.toLocaleString("sv-SE", { timeZone: homeZone() }).replace(" ", "T")}Z`);
  return new Date(2 * asUtc - shown).toISOString();
}
