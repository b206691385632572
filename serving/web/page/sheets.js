// Sheets for officers on foot: makes them, shows their links once, and takes them out of use.

import { chosenCase, sightingsJudged } from "./cases.js";
import { $, element, say, words } from "./dom.js";
import { attempt, fetchJson, json } from "./service.js";
import { timeOf } from "./times.js";

const language = document.documentElement.lang;
const link = $("#sheet-link");
const sheetsOf = (path = "") => `v1/cases/${chosenCase().id}/sheets${path}`;

/** Shows the sheets of the chosen case. */
export async function showSheets() {
  const { sheets } = await fetchJson(sheetsOf());
  link.hidden = true;
  $("#new-sheet").hidden = Boolean(chosenCase().closed) || !sightingsJudged("confirmed").length;
  $("#sheets > ul").replaceChildren(...sheets.map(sheetItem));
}

function sheetItem({ id, account, reason, created, expires, revoked, is_in_use, opened }) {
  const until = revoked ? say(words.sheet_revoked, { time: timeOf({}, revoked) }) : say(words.sheet_until, { time: timeOf({}, expires) });
  const facts = [say(words.sheet_made, { account, time: timeOf({}, created) }), until, say(words.sheet_opened, { number: opened }), reason];
  const item = element("li", {}, element("span", { textContent: facts.join(" · ") }));
  if (!is_in_use) return item;
  const pdf = element("a", { href: sheetsOf(`/${id}/pdf`), textContent: "PDF", download: "" });
  const revoke = element("button", { type: "button", textContent: words.revoke_sheet });
  revoke.addEventListener("click", () =>
    attempt(async () => {
      await fetchJson(sheetsOf(`/${id}/revoke`), { method: "POST" });
      await showSheets();
    }),
  );
  item.append(pdf, revoke);
  return item;
}

$("#make-sheet").addEventListener("click", () =>
  attempt(async () => {
    const reason = $("[name=reason]").value.trim();
    if (!reason) throw new Error(words.no_case);
    $("#status").textContent = words.making_sheet;
    const asked = { reason, note: $("#sheet-note").value, hours: Number($("#sheet-hours").value), language };
    const { token } = await fetchJson(sheetsOf(), json(asked));
    await showSheets();
    $("#status").textContent = words.sheet_is_made;
    const query = language === "ko" ? "" : `?lang=${language}`;
    $("input", link).value = new URL(`sheet${query}#${token}`, document.baseURI).href;
    $("#sheet-note").value = "";
    link.hidden = false;
    $("input", link).select();
  }),
);
$("button", link).addEventListener("click", () => {
  $("input", link).select();
  navigator.clipboard?.writeText($("input", link).value);
});
