// Local times of a time zone as moments.

const DAY_MS = 24 * 3600 * 1000;

/** How far clocks in `timeZone` are ahead of UTC at `time`, in milliseconds. */
function aheadMs(timeZone, time) {
  const shown = new Date(time).toLocaleString("sv-SE", { timeZone }).replace(" ", "T");
  return new Date(`${shown}Z`) - Math.floor(time / 1000) * 1000;
}

/**
 * The moment, in UTC, at which clocks in `timeZone` show `local`, such as 2026-05-01T09:00. Of an hour that they show
 * twice, or never, it is the earlier moment, with `isEnd` the later: so a window from one to the other leaves nothing out.
 */
export function momentIn(timeZone, local, isEnd = false) {
  const asUtc = new Date(`${local}Z`).getTime();
  const offsets = [-DAY_MS, DAY_MS].map((distance) => aheadMs(timeZone, asUtc + distance));
  const moments = offsets.map((offset) => asUtc - offset);
  const right = moments.filter((moment, place) => aheadMs(timeZone, moment) === offsets[place]);
  return new Date((isEnd ? Math.max : Math.min)(...(right.length ? right : moments))).toISOString();
}
