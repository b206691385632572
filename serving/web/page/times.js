// Cameras of the page's form, and times as clocks at a camera show them.

import { $, all } from "./dom.js";
import { momentIn } from "./zones.js";

const language = document.documentElement.lang;
const cameras = new Map(
  all("[name=cameras]").map(({ value, dataset }) => [
    value,
    { ...dataset, latitude: Number(dataset.latitude), longitude: Number(dataset.longitude) },
  ]),
);
export const districtCameras = (districts) => [...cameras.values()].filter(({ district }) => districts.has(district));
/** The camera of a sighting, with name and position. */
export const cameraOf = ({ district, camera_id }) => cameras.get(`${district}/${camera_id}`);
export const placeOf = (seen) => cameraOf(seen)?.name ?? seen.camera_id;
const homeZone = () => $("[name=cameras]")?.dataset.timeZone ?? "UTC";
const zoneOf = (seen) => cameraOf(seen)?.timeZone ?? homeZone();
const formatOf = (timeZone, style) => new Intl.DateTimeFormat(language, { ...style, timeZone, hourCycle: "h23" });
const WHOLE = { dateStyle: "medium", timeStyle: "medium" };
const SHORT = { month: "numeric", day: "numeric", hour: "numeric", minute: "2-digit", second: "2-digit" };

/** `time` in the time zone of the camera of `seen`. */
export const timeOf = (seen, time, style = WHOLE) => formatOf(zoneOf(seen), style).format(new Date(time));

/** The same, short. */
export const shortTimeOf = (seen, time) => timeOf(seen, time, SHORT);

/** A time span; its day is shown once where both ends are on one day. */
export function timesOf(seen, from, until) {
  const [begin, end] = [from, until].map((time) => timeOf(seen, time, { dateStyle: "medium" }));
  return `${timeOf(seen, from)} – ${timeOf(seen, until, begin === end ? { timeStyle: "medium" } : WHOLE)}`;
}

/** What clocks of the first district show at `time`, such as 2026-05-01T09:00:00. */
export const clockAt = (time) => new Date(time).toLocaleString("sv-SE", { timeZone: homeZone() }).replace(" ", "T");

/** The moment, in UTC, at which clocks of the first district show `local`; `isEnd`: it ends a window, see `momentIn`. */
export const moment = (local, isEnd) => momentIn(homeZone(), local, isEnd);
