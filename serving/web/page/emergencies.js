// Cases that operators open in an emergency: an operator's form, and those that await the agreement of a reviewer.

import { chosenCase, offerCase, readCase } from "./cases.js";
import { $, all, element, say, words } from "./dom.js";
import { attempt, fetchJson, json } from "./service.js";
import { timeOf } from "./times.js";
import { beep, events } from "./watch.js";

const caseField = $("[name=case]");
let known = new Set(); // numbers of the cases in the list

function awaitedItem({ case_id, title, account, reason, agree_by }) {
  const facts = { account, number: case_id, title, reason, time: timeOf({}, agree_by) };
  const text = element("span", { textContent: say(words.emergency_awaits, facts) });
  const actions = { agree: words.agree, close: words.close_emergency };
  const buttons = Object.entries(actions).map(([action, textContent]) => {
    const button = element("button", { type: "button", textContent });
    button.addEventListener("click", () =>
      attempt(async () => {
        await fetchJson(`v1/cases/${case_id}/${action}`, { method: "POST" });
        button.closest("li").remove();
        $("#emergencies").hidden = !$("#emergencies li");
        if (chosenCase().id === case_id) await readCase();
        $("#status").textContent = words.saved;
      }),
    );
    return button;
  });
  const show = element("button", { type: "button", textContent: words.show_case });
  show.addEventListener("click", () => {
    if (!all("option", caseField).some(({ value }) => value === String(case_id))) offerCase(case_id, title);
    caseField.value = String(case_id);
    caseField.dispatchEvent(new Event("change"));
  });
  return element("li", {}, text, ...buttons, show);
}

events.addEventListener("emergencies", ({ data }) => {
  const awaited = JSON.parse(data);
  const isNew = awaited.some(({ case_id }) => !known.has(case_id));
  known = new Set(awaited.map(({ case_id }) => case_id));
  $("#emergencies ul").replaceChildren(...awaited.map(awaitedItem));
  $("#emergencies").hidden = !awaited.length;
  if (isNew) beep();
});

$("#open-emergency")?.addEventListener("click", () =>
  attempt(async () => {
    const title = $("#emergency-title").value.trim();
    const reason = $("#emergency-reason").value.trim();
    if (!title) throw new Error(words.no_title);
    if (!reason) throw new Error(words.no_emergency_reason);
    const { id } = await fetchJson("v1/emergencies", json({ title, reason }));
    const reasonField = $("[name=reason]");
    if (!reasonField.value.trim()) reasonField.value = reason;
    reasonField.dispatchEvent(new Event("change"));
    $("#emergency-title").value = $("#emergency-reason").value = "";
    $("#emergency-title").closest("details").open = false;
    offerCase(id, title);
    caseField.dispatchEvent(new Event("change"));
  }),
);
for (const name of ["#emergency-title", "#emergency-reason"]) {
  $(name)?.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault(); // it would search
    $("#open-emergency").click();
  });
}
