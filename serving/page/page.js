// Asks /v1 and shows what it answers. Words stand in the page, in its language; what the service says enters as text.

const $ = (selector, inside = document) => inside.querySelector(selector);
const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
const words = document.body.dataset;
const form = $("#search");
const { case: caseField, reason: reasonField } = form.elements;
const json = (content, method = "POST") =>
  ({ method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });
const SHOWN_ATTRIBUTES = 5;
const VERDICT_OF_KEY = { KeyC: "confirmed", KeyR: "rejected" }; // places on the keyboard, whatever language it types

const cameras = new Map(
  all("[name=cameras]").map(({ value, dataset }) => [
    `${dataset.district}/${value}`,
    { ...dataset, latitude: Number(dataset.latitude), longitude: Number(dataset.longitude) },
  ]),
);
const cameraOf = (sighting) => cameras.get(`${sighting.district}/${sighting.camera_id}`);

// --- the case ---

let searched = ""; // the case of the sightings that are shown

for (const field of [caseField, reasonField]) {
  const kept = sessionStorage.getItem(field.name);
  if (kept && (field === reasonField || all("option", field).some((option) => option.value === kept)))
    field.value = kept;
  field.addEventListener("change", () => sessionStorage.setItem(field.name, field.value));
}

$("#open-case")?.addEventListener("click", () =>
  attempt(async () => {
    const title = $("#title").value.trim();
    if (!title) throw new Error(words.noTitle);
    const operators = $("#operators").value.split(",").map((name) => name.trim()).filter(Boolean);
    const { id } = await ask("v1/cases", json({ title, operators }));
    caseField.append(new Option(`${id} · ${title}`, id, true, true));
    caseField.dispatchEvent(new Event("change"));
    $("#title").value = "";
  }),
);

// --- asking ---

/** An answer of the service, or an Error in plain words whose cause is the service's own message. */
async function ask(address, request) {
  const answer = await fetch(address, request).catch((cause) => {
    if (cause.name === "AbortError") throw cause;
    throw new Error(words.unreachable);
  });
  const content = await answer.json().catch(() => ({}));
  if (answer.ok) return content;
  const kind = answer.headers.has("Retry-After") ? "busy" : `status${answer.status}`;
  throw new Error(words[kind] ?? words.failed, { cause: content.error });
}

/** Runs `work`; what goes wrong is shown to the operator. */
async function attempt(work) {
  $("#problem").replaceChildren();
  try {
    await work();
  } catch (error) {
    if (error.name === "AbortError") return; // a newer search took its place
    $("#status").textContent = "";
    const [plain, detail] = [document.createElement("p"), document.createElement("small")];
    plain.textContent = error.message;
    detail.textContent = error.cause ?? "";
    detail.lang = "en";
    $("#problem").replaceChildren(plain, detail);
  }
}

/** The moment at which clocks in `zone` show `local`, such as 2026-05-01T09:00. */
function moment(local, zone) {
  const asUtc = new Date(`${local}Z`);
  const shown = new Date(`${asUtc.toLocaleString("sv-SE", { timeZone: zone }).replace(" ", "T")}Z`);
  return new Date(2 * asUtc - shown).toISOString();
}

function question() {
  const asked = new FormData();
  const [photo] = form.elements.photo.files;
  const attributes = all("[data-group]", form).filter((select) => select.value);
  if (!caseField.value || !reasonField.value.trim()) throw new Error(words.noCase);
  asked.set("case", caseField.value);
  asked.set("reason", reasonField.value.trim());
  if (!photo && !attributes.length) throw new Error(words.nothingAsked);
  if (photo) asked.set("photo", photo);
  if (attributes.length) {
    const labels = Object.fromEntries(attributes.map((select) => [select.dataset.group, select.value]));
    asked.set("attributes", JSON.stringify(labels));
  }
  const chosen = all("[name=cameras]:checked").map((box) => box.value);
  if (chosen.length) asked.set("cameras", chosen.join());
  for (const name of ["since", "until"]) {
    const local = form.elements[name].value;
    if (local) asked.set(name, moment(local, $("[name=cameras]").dataset.timeZone));
  }
  return asked;
}

let running = new AbortController();

form.addEventListener("submit", (event) => {
  event.preventDefault();
  running.abort();
  running = new AbortController();
  const { signal } = running;
  attempt(async () => {
    const asked = question();
    showSightings([]);
    $("#status").textContent = words.searching;
    const { sightings } = await ask("v1/search", { method: "POST", body: asked, signal });
    searched = asked.get("case");
    const { verdicts } = await ask(`v1/cases/${searched}`, { signal });
    showSightings(sightings, asked.has("photo") ? words.byPhoto : words.byWords, verdicts);
    $("#status").textContent = sightings.length ? words.found.replace("{}", sightings.length) : words.none;
  });
});

form.addEventListener("reset", () => {
  const kept = [caseField.value, reasonField.value];
  setTimeout(() => ([caseField.value, reasonField.value] = kept));
  showPreview(undefined);
});
form.elements.photo.addEventListener("change", (event) => showPreview(event.target.files[0]));

function showPreview(photo) {
  const preview = $("#preview");
  URL.revokeObjectURL(preview.src);
  preview.hidden = !photo;
  if (photo) preview.src = URL.createObjectURL(photo);
}

// --- sightings and the operator's verdict on each ---

const sightingOf = new WeakMap(); // card -> sighting

function timeIn(sighting, time, style = { dateStyle: "medium", timeStyle: "medium" }) {
  const timeZone = cameraOf(sighting)?.timeZone ?? "UTC";
  return new Intl.DateTimeFormat(document.documentElement.lang, { ...style, timeZone, hourCycle: "h23" }).format(
    new Date(time),
  );
}

const placeOf = (sighting) => cameraOf(sighting)?.name ?? sighting.camera_id;
const percent = (fraction) => `${Math.round(100 * fraction)}%`;

const nameOf = ({ district, tracklet_id }) => `${district}/${tracklet_id}`;

function showSightings(sightings, kind, verdicts = []) {
  const given = new Map(verdicts.map((one) => [nameOf(one), one.verdict]));
  $("#show-route").disabled = true;
  $("#hits").replaceChildren(...sightings.map((sighting) => card(sighting, kind)));
  for (const item of $("#hits").children) mark(item, given.get(nameOf(sightingOf.get(item))) ?? "none");
  $("#route").hidden = true;
}

function card(sighting, kind) {
  const item = $("#hit").content.cloneNode(true).firstElementChild;
  const slot = (name) => $(`[data-slot=${name}]`, item);
  $("img", item).src = `v1/crops/${encodeURIComponent(sighting.district)}/${sighting.tracklet_id}`;
  slot("kind").textContent = kind;
  slot("probability").textContent = percent(sighting.match_probability);
  slot("camera").textContent = placeOf(sighting);
  for (const name of ["first_seen", "last_seen"]) {
    slot(name).dateTime = sighting[name];
    slot(name).textContent = timeIn(sighting, sighting[name]);
  }
  slot("attributes").append(...surestAttributes(sighting.attributes).map(attributeItem));
  item.setAttribute("aria-label", `${placeOf(sighting)}, ${kind} ${percent(sighting.match_probability)}`);
  sightingOf.set(item, sighting);
  return item;
}

function surestAttributes(described) {
  return Object.entries(described)
    .map(([group, labels]) => [group, ...Object.entries(labels).reduce((best, one) => (one[1] > best[1] ? one : best))])
    .sort((one, other) => other[2] - one[2])
    .slice(0, SHOWN_ATTRIBUTES);
}

function attributeItem([group, label, probability]) {
  const select = $(`[data-group=${CSS.escape(group)}]`);
  const option = select && $(`[value=${CSS.escape(label)}]`, select);
  const item = document.createElement("li");
  const name = select?.parentElement.firstChild.textContent.trim() ?? group;
  item.textContent = `${name}: ${option?.textContent ?? label} ${percent(probability)}`;
  return item;
}

function mark(item, verdict) {
  item.dataset.verdict = verdict;
  for (const button of all("button", item)) button.ariaPressed = button.dataset.verdict === verdict;
  $("#show-route").disabled = !$("#hits > [data-verdict=confirmed]");
}

let sending = Promise.resolve(); // one verdict after the other, so that the last one given counts

/** Gives the card a verdict, or takes it back when it has it already; what the service does not keep is not shown. */
function judge(item, verdict) {
  const before = item.dataset.verdict;
  const given = before === verdict ? "none" : verdict;
  const { district, tracklet_id } = sightingOf.get(item);
  const request = json({ district, tracklet_id, verdict: given });
  const address = `v1/cases/${searched}/verdicts`;
  mark(item, given);
  showConfirmed();
  sending = sending.then(() =>
    attempt(() =>
      ask(address, request).catch((error) => {
        mark(item, before);
        throw error;
      }),
    ),
  );
}

function showConfirmed() {
  $("#status").textContent = words.judged.replace("{}", all("#hits > [data-verdict=confirmed]").length);
}

$("#hits").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) judge(button.closest("#hits > li"), button.dataset.verdict);
});

$("#hits").addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const item = event.target.closest("#hits > li");
  const verdict = VERDICT_OF_KEY[event.code];
  const next = { ArrowRight: item.nextElementSibling, ArrowLeft: item.previousElementSibling }[event.code];
  if (verdict) judge(item, verdict);
  next?.focus();
});

// --- the route ---

$("#show-route").addEventListener("click", () =>
  attempt(async () => {
    const sightings = all("#hits > [data-verdict=confirmed]")
      .map((item) => sightingOf.get(item))
      .map(({ district, tracklet_id }) => ({ district, tracklet_id }));
    const answer = await ask("v1/route", json({ sightings }));
    $("#left-out").hidden = !answer.left_out.length;
    $("#left-out span").textContent = answer.left_out
      .map((one) => `${placeOf(one)} ${timeIn(one, one.first_seen)}`)
      .join("; ");
    $("#route tbody").replaceChildren(...answer.route.map(row));
    drawMap(answer.route);
    drawTimeLine(answer.route);
    $("#route").hidden = false;
    $("#route").focus();
  }),
);

function row(sighting, index) {
  const line = document.createElement("tr");
  const { first_seen: first, last_seen: last } = sighting;
  for (const text of [index + 1, placeOf(sighting), timeIn(sighting, first), timeIn(sighting, last)])
    line.insertCell().textContent = text;
  return line;
}

function shape(name, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
}

/** From a camera to its point in a `width` x `height` drawing, north up, the same scale in both directions. */
function projection(places, width, height, margin) {
  const middle = (values) => (Math.min(...values) + Math.max(...values)) / 2;
  const latitude = middle(places.map((place) => place.latitude));
  const longitude = middle(places.map((place) => place.longitude));
  const shrink = Math.cos((latitude * Math.PI) / 180); // a degree of longitude, in degrees of latitude
  const east = (place) => (place.longitude - longitude) * shrink;
  const north = (place) => place.latitude - latitude;
  const reach = (values, size) => (size / 2 - margin) / Math.max(1e-6, ...values.map(Math.abs));
  const scale = Math.min(reach(places.map(east), width), reach(places.map(north), height));
  return (place) => ({ x: width / 2 + scale * east(place), y: height / 2 - scale * north(place) });
}

function drawMap(route) {
  const { width, height } = $("#map").viewBox.baseVal;
  const districts = new Set(route.map((sighting) => sighting.district));
  const shown = [...cameras.values()].filter((camera) => districts.has(camera.district));
  const at = projection([...shown, ...route], width, height, 40);
  const points = route.map(at);
  const line = shape("polyline", { class: "way", points: points.map(({ x, y }) => `${x},${y}`).join(" ") });
  const places = shown.flatMap((camera) => {
    const { x, y } = at(camera);
    const outward = x > width / 2 ? { x: x - 14, "text-anchor": "end" } : { x: x + 14 };
    return [shape("circle", { cx: x, cy: y, r: 6 }), shape("text", { ...outward, y: y - 10 }, camera.name)];
  });
  const orders = Map.groupBy(points.keys(), (index) => `${points[index].x},${points[index].y}`);
  const stops = [...orders.values()].flatMap((indices) => {
    const { x, y } = points[indices[0]];
    const numbers = indices.map((index) => index + 1).join("·");
    const half = 8 + 4 * numbers.length;
    return [
      shape("rect", { class: "stop", x: x - half, y: y - 12, width: 2 * half, height: 24, rx: 12 }),
      shape("text", { class: "number", x, y: y + 5 }, numbers),
    ];
  });
  $("#map").replaceChildren(line, ...places, ...stops, shape("text", { class: "north", x: 20, y: 28 }, "N ↑"));
}

function drawTimeLine(route) {
  const [width, left, right, rowHeight] = [540, 150, 80, 28];
  const begin = Date.parse(route[0].first_seen);
  const lasts = Math.max(1, Date.parse(route.at(-1).last_seen) - begin);
  const x = (time) => left + ((width - left - right) * (Date.parse(time) - begin)) / lasts;
  const places = [...new Set(route.map(placeOf))];
  const middle = (sighting) => rowHeight * (places.indexOf(placeOf(sighting)) + 0.5);
  const names = places.map((name, index) => shape("text", { x: 0, y: rowHeight * (index + 0.5) + 5 }, name));
  const way = route.flatMap((one) => [`${x(one.first_seen)},${middle(one)}`, `${x(one.last_seen)},${middle(one)}`]);
  const bars = route.flatMap((one) => [
    shape("rect", {
      class: "stop", x: x(one.first_seen), y: middle(one) - 8, rx: 3,
      width: Math.max(6, x(one.last_seen) - x(one.first_seen)), height: 16,
    }),
    shape("text", { x: Math.max(x(one.first_seen) + 6, x(one.last_seen)) + 5, y: middle(one) + 5 },
      timeIn(one, one.first_seen, { timeStyle: "medium" })),
  ]);
  $("#time-line").setAttribute("viewBox", `0 0 ${width} ${rowHeight * places.length}`);
  $("#time-line").replaceChildren(shape("polyline", { class: "way", points: way.join(" ") }), ...names, ...bars);
}
