// The local map below the cameras, such as streets: lines and areas of a GeoJSON file of the service, see /v1/map.

import { shape } from "./dom.js";
import { fetchJson, showProblem } from "./service.js";

const SIDES = { LineString: (rings) => [rings], MultiLineString: (rings) => rings, Polygon: (rings) => rings,
  MultiPolygon: (areas) => areas.flat() };
let loading = null;
let lines = []; // { points: [[longitude, latitude]], isArea, box: [west, south, east, north] }

/** Loads the layer once; without one, or where it fails, which is said, maps are drawn on plain ground. */
export function loadLayer() {
  loading ??= fetchJson("v1/map").then(({ features }) => (lines = features.flatMap(linesOf)), showProblem);
  return loading;
}

function linesOf({ geometry }) {
  const rings = SIDES[geometry?.type]?.(geometry.coordinates) ?? [];
  const isArea = geometry?.type.endsWith("Polygon");
  return rings.map((points) => {
    const box = points.reduce(
      ([west, south, east, north], [x, y]) =>
        [Math.min(west, x), Math.min(south, y), Math.max(east, x), Math.max(north, y)],
      [180, 90, -180, -90],
    );
    return { points, isArea, box };
  });
}

/** Drawings of what of the layer is in view. */
export function layerPaths({ at, placeAt, width, height }) {
  const [topLeft, bottomRight] = [placeAt({ x: 0, y: 0 }), placeAt({ x: width, y: height })];
  const isInView = ({ box: [west, south, east, north] }) =>
    east >= topLeft.longitude && west <= bottomRight.longitude &&
    north >= bottomRight.latitude && south <= topLeft.latitude;
  const paths = { street: [], ground: [] };
  for (const { points, isArea } of lines.filter(isInView)) {
    const drawn = points.map(([longitude, latitude]) => {
      const { x, y } = at({ longitude, latitude });
      return `${x.toFixed(1)} ${y.toFixed(1)}`;
    });
    paths[isArea ? "ground" : "street"].push(`M${drawn.join("L")}`);
  }
  return Object.entries(paths).map(([kind, parts]) => shape("path", { class: kind, d: parts.join("") }));
}
