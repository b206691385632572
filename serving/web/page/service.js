// Requests to /v1, and how a request that fails is shown.

import { $, element, say, words } from "./dom.js";

const NOT_READY_S = 10; // of Retry-After: from here on waiting a moment does not help

/** A request that the service refused: the reason in the operator's language; `code` and `number` as it answered. */
export class Refusal extends Error {
  constructor({ status, code = "", number = null, error = "", waitS = null }) {
    const isBusy = status === 503 && waitS !== null && waitS < NOT_READY_S;
    const known = words[`refused_${code}`];
    super(known ?? say(isBusy ? words.busy : (words[`status_${status}`] ?? words.failed), { seconds: waitS }), {
      cause: known ? "" : error, // what the sentence does not say
    });
    Object.assign(this, { code, number });
  }
}

/** A request with `content` as JSON. */
export const json = (content, method = "POST") =>
  ({ method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });

/** The service's response. Throws a `Refusal`, or an Error in the operator's language if there is no answer. */
export async function fetchResponse(address, request) {
  const response = await fetch(address, request).catch((cause) => {
    if (cause.name === "AbortError") throw cause;
    throw new Error(words.unreachable);
  });
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  const wait = response.headers.get("Retry-After");
  throw new Refusal({ ...answer, status: response.status, waitS: wait === null ? null : Number(wait) });
}

/** The JSON of the service's response; undefined where it has no content. Throws as `fetchResponse`. */
export async function fetchJson(address, request) {
  const response = await fetchResponse(address, request);
  return response.status === 204 ? undefined : response.json();
}

/** Runs `work` and shows its error, if any, to the operator. */
export async function attempt(work) {
  $("#problem").replaceChildren();
  try {
    await work();
  } catch (error) {
    if (error.name === "AbortError") return; // a newer search took its place
    $("#status").textContent = "";
    showProblem(error);
  }
}

/** Shows an error below those in view. */
export function showProblem({ message, cause }) {
  $("#problem").append(
    element("p", { textContent: message }),
    element("small", { textContent: cause ?? "", lang: "en" }),
  );
}
