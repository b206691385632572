// Buttons that fill in the times of a search: the last hours, or today.

import { $, all } from "./dom.js";
import { clockAt } from "./times.js";

const HOUR_MS = 3.6e6;
const { since, until } = $("#search").elements;

for (const button of all("[data-hours]")) {
  button.addEventListener("click", () => {
    const { hours } = button.dataset;
    const now = Date.now();
    since.value = hours === "today" ? `${clockAt(now).slice(0, 10)}T00:00:00` : clockAt(now - Number(hours) * HOUR_MS);
    until.value = "";
    since.dispatchEvent(new Event("change", { bubbles: true }));
  });
}
