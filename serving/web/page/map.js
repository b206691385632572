// Maps that can be zoomed: north is up, the scale is the same in both directions.

import { element, say, shape, words } from "./dom.js";
import { layerPaths, loadLayer } from "./map_layer.js";

const METRES_PER_DEGREE = (Math.PI / 180) * 6_371_008.8; // of latitude
const [LETTER_PX, LINE_PX] = [7, 15]; // of a camera's name on the map
const WIDE = 1.8; // letters of Latin that a letter of Hangul is wide
const LEAST_REACH = 1e-4; // degrees from the middle to an edge, 11 m: the map of one camera needs some extent
const [ZOOM, MOST_ZOOM] = [1.6, 4000]; // of one step, and over all of the map
const STEP = 1 / 8; // of the drawing, per press of an arrow key
const CLUSTER_PX = 22; // cameras nearer than this are drawn as one with their number
const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Projection of `places`, each with latitude and longitude, to a `width` x `height` drawing, at least `margin` from its
 * edge: `at(place)` is a place's point, `placeAt(point)` a point's place, and `scale` the drawing's units per metre.
 */
export function projection(places, width, height, margin) {
  const ends = (values) => [Math.min(...values), Math.max(...values)];
  const [south, north] = ends(places.map((place) => place.latitude));
  const [west, east] = ends(places.map((place) => place.longitude));
  const middle = { latitude: (south + north) / 2, longitude: (west + east) / 2 };
  const shrink = Math.cos((middle.latitude * Math.PI) / 180); // a degree of longitude, in degrees of latitude
  const reach = (extent, size) => (size / 2 - margin) / Math.max(LEAST_REACH, extent / 2);
  const perDegree = Math.min(reach((east - west) * shrink, width), reach(north - south, height));
  return centred(middle, perDegree, width, height);
}

function centred({ latitude, longitude }, perDegree, width, height) {
  const shrink = Math.cos((latitude * Math.PI) / 180);
  return {
    at: (place) => ({
      x: width / 2 + perDegree * (place.longitude - longitude) * shrink,
      y: height / 2 - perDegree * (place.latitude - latitude),
    }),
    placeAt: ({ x, y }) => ({
      latitude: latitude + (height / 2 - y) / perDegree,
      longitude: longitude + (x - width / 2) / (perDegree * shrink),
    }),
    scale: perDegree / METRES_PER_DEGREE,
    perDegree,
  };
}

/**
 * A map in the drawing `svg`, with buttons, wheel and keys to zoom and arrows to move it; `draw(map)` fills it, as often
 * as it changes. `fit(places, margin)` shows these places; `at`, `placeAt` and `scale` are as those of `projection`.
 */
export class ZoomedMap {
  constructor(svg, draw) {
    Object.assign(this, { svg, draw, width: svg.viewBox.baseVal.width, height: svg.viewBox.baseVal.height });
    svg.setAttribute("tabindex", 0);
    svg.addEventListener("wheel", (event) => this.#turnWheel(event), { passive: false });
    svg.addEventListener("keydown", (event) => this.#press(event));
    const button = (textContent, title, work) => {
      const made = element("button", { type: "button", textContent, title, ariaLabel: title });
      made.addEventListener("click", work);
      return made;
    };
    svg.after(
      element(
        "p", { className: "zoom" },
        button("＋", words.zoom_in, () => this.zoom(ZOOM)),
        button("－", words.zoom_out, () => this.zoom(1 / ZOOM)),
        button("⤢", words.zoom_all, () => this.#showAll()),
      ),
    );
  }

  get at() {
    return this.view.at;
  }

  get placeAt() {
    return this.view.placeAt;
  }

  get scale() {
    return this.view.scale;
  }

  fit(places, margin) {
    this.whole = projection(places, this.width, this.height, margin);
    this.#showAll();
    loadLayer().then(() => this.redraw());
  }

  /** Zooms around a point of the drawing, by default its middle. */
  zoom(factor, point = { x: this.width / 2, y: this.height / 2 }) {
    const { perDegree } = this.whole;
    const wanted = Math.min(Math.max(this.view.perDegree * factor, perDegree), perDegree * MOST_ZOOM);
    const part = this.view.perDegree / wanted; // the middle comes nearer to the point by so much
    this.#centre(
      { x: point.x + (this.width / 2 - point.x) * part, y: point.y + (this.height / 2 - point.y) * part }, wanted,
    );
  }

  move(dx, dy) {
    this.#centre({ x: this.width / 2 + dx, y: this.height / 2 + dy }, this.view.perDegree);
  }

  /** Whether the map can be zoomed so far that these cameras are apart. */
  canPart(cameras) {
    const points = cameras.map(this.at);
    const far = Math.max(...points.map(({ x, y }) => Math.hypot(x - points[0].x, y - points[0].y)));
    return (far * this.whole.perDegree * MOST_ZOOM) / this.view.perDegree > CLUSTER_PX;
  }

  /** Point of the drawing where a pointer is. */
  pointOf({ clientX, clientY }) {
    const { x, y } = new DOMPoint(clientX, clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    return { x, y };
  }

  redraw() {
    this.draw(this);
    this.svg.prepend(...layerPaths(this));
  }

  #showAll() {
    this.view = this.whole;
    this.redraw();
  }

  #centre(point, perDegree) {
    this.view = centred(this.placeAt(point), perDegree, this.width, this.height);
    this.redraw();
  }

  #turnWheel(event) {
    event.preventDefault();
    this.zoom(event.deltaY < 0 ? ZOOM : 1 / ZOOM, this.pointOf(event));
  }

  #press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [dx, dy] = DIRECTIONS[event.code] ?? [0, 0];
    if (dx || dy) this.move(dx * this.width * STEP, dy * this.height * STEP);
    else if (["+", "="].includes(event.key)) this.zoom(ZOOM);
    else if (event.key === "-") this.zoom(1 / ZOOM);
    else if (event.key === "0") this.#showAll();
    else return;
    event.preventDefault();
  }
}

/** The cameras in view, those that would cover each other as one: `{ x, y, cameras }`. */
export function clustersOf(cameras, { at, width, height }) {
  const clusters = [];
  for (const camera of cameras) {
    const { x, y } = at(camera);
    if (x < -CLUSTER_PX || y < -CLUSTER_PX || x > width + CLUSTER_PX || y > height + CLUSTER_PX) continue;
    const near = clusters.find((one) => Math.hypot(one.x - x, one.y - y) < CLUSTER_PX);
    if (near) near.cameras.push(camera);
    else clusters.push({ x, y, cameras: [camera] });
  }
  return clusters;
}

/**
 * Drawings of the cameras in view, with their names where these cover nothing: a dot for one, a number for several; a
 * click on the number zooms in. `kindOf(cameras)` is a class for the dot.
 */
export function cameraShapes(cameras, map, kindOf = () => "") {
  const clusters = clustersOf(cameras, map);
  const dots = clusters.flatMap(({ x, y, cameras: these }) => {
    const isOne = these.length === 1;
    const kind = `camera ${kindOf(these)}${isOne ? "" : " cluster"}`;
    const dot = shape("circle", { class: kind, cx: x, cy: y, r: isOne ? 5 : 10 });
    dot.append(shape("title", {}, these.map(({ name }) => name).join(", ")));
    if (isOne) return [dot];
    dot.addEventListener("pointerdown", (event) => {
      if (!map.canPart(these)) return; // they stand at one place
      event.stopPropagation();
      map.zoom(ZOOM ** 3, { x, y });
    });
    return [dot, shape("text", { class: "count", x, y: y + 4 }, these.length)];
  });
  return [...dots, ...nameTags(clusters, map)];
}

/** Names of single cameras above or below their points; those that would cover another name or camera are left out. */
function nameTags(clusters, { width, height }) {
  const scale = [12, 26].map((rise) => ({ level: height - rise, middle: width / 8, half: width / 8 }));
  const taken = [...scale, ...clusters.map(({ x, y }) => ({ level: y + 4, middle: x, half: 6 }))];
  return clusters.flatMap(({ x, y, cameras }) => {
    if (cameras.length > 1) return [];
    const [{ name }] = cameras;
    const letters = [...name].reduce((sum, letter) => sum + (letter > "\u2e80" ? WIDE : 1), 0);
    const half = (letters * LETTER_PX) / 2;
    const middle = Math.min(Math.max(x, half), width - half);
    const covers = (level) => (one) =>
      Math.abs(one.middle - middle) < one.half + half && Math.abs(one.level - level) < LINE_PX;
    const levels = [y - 16, y + 26].filter((level) => level > LINE_PX && level < height);
    const level = levels.find((each) => !taken.some(covers(each)));
    if (level === undefined) return [];
    taken.push({ level, middle, half });
    return [shape("text", { class: "name", x: middle, y: level }, name)];
  });
}

/** A line of a round length in metres, in the lower left corner. */
export function scaleBar({ scale, height, width }) {
  const most = width / 4 / scale; // metres
  const metres = [1, 2, 5].map((digit) => digit * 10 ** Math.floor(Math.log10(most))).findLast((each) => each <= most);
  const name = metres < 1000 ? say(words.metres, { number: metres }) : say(words.kilometres, { number: metres / 1000 });
  return [
    shape("line", { class: "scale", x1: 10, y1: height - 10, x2: 10 + metres * scale, y2: height - 10 }),
    shape("text", { class: "scale", x: 10, y: height - 15 }, name),
  ];
}
