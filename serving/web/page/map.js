// Maps: north is up, the scale is the same in both directions.

import { shape } from "./dom.js";

const METRES_PER_DEGREE = (Math.PI / 180) * 6_371_008.8; // of latitude
const [LETTER_PX, LINE_PX] = [7, 15]; // of a camera's name on the map
const LEAST_REACH = 1e-4; // degrees from the middle to an edge, 11 m: the map of one camera needs some extent

/**
 * Projection of `places`, each with latitude and longitude, to a `width` x `height` drawing, at least `margin` from its
 * edge: `at(place)` is a place's point, `placeAt(point)` a point's place, and `scale` the drawing's units per metre.
 */
export function projection(places, width, height, margin) {
  const middle = (values) => (Math.min(...values) + Math.max(...values)) / 2;
  const latitude = middle(places.map((place) => place.latitude));
  const longitude = middle(places.map((place) => place.longitude));
  const shrink = Math.cos((latitude * Math.PI) / 180); // a degree of longitude, in degrees of latitude
  const east = (place) => (place.longitude - longitude) * shrink;
  const north = (place) => place.latitude - latitude;
  const reach = (values, size) => (size / 2 - margin) / Math.max(LEAST_REACH, ...values.map(Math.abs));
  const perDegree = Math.min(reach(places.map(east), width), reach(places.map(north), height));
  return {
    at: (place) => ({ x: width / 2 + perDegree * east(place), y: height / 2 - perDegree * north(place) }),
    placeAt: ({ x, y }) => ({
      latitude: latitude + (height / 2 - y) / perDegree,
      longitude: longitude + (x - width / 2) / (perDegree * shrink),
    }),
    scale: perDegree / METRES_PER_DEGREE,
  };
}

/** Names of cameras above or below their points, placed so that they cover no other name where possible. */
export function nameTags(shown, at, width) {
  const taken = [];
  return shown.map((camera) => {
    const { x, y } = at(camera);
    const half = (camera.name.length * LETTER_PX) / 2;
    const middle = Math.min(Math.max(x, half), width - half);
    const isNear = (one) => Math.abs(one.middle - middle) < one.half + half;
    const covers = (level) => (one) => isNear(one) && Math.abs(one.level - level) < LINE_PX;
    const levels = [-16, 26, -32, 42].map((rise) => y + rise);
    const level = levels.find((each) => !taken.some(covers(each))) ?? levels[0];
    taken.push({ level, middle, half });
    return shape("text", { class: "name", x: middle, y: level }, camera.name);
  });
}
