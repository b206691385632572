// Requests to /v1, and how a request that fails is shown.

import { $, element, words } from "./dom.js";

const NOT_READY_S = 10; // of Retry-After: from here on waiting a moment does not help

/** A request with `content` as JSON. */
export const json = (content, method = "POST") =>
  ({ method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });

/** The service's response. Throws an Error in the operator's language whose cause is the service's own message. */
export async function fetchResponse(address, request) {
  const response = await fetch(address, request).catch((cause) => {
    if (cause.name === "AbortError") throw cause;
    throw new Error(words.unreachable);
  });
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  const wait = response.headers.get("Retry-After");
  const isBusy = wait !== null && !(response.status === 503 && Number(wait) >= NOT_READY_S);
  const problem = isBusy ? "busy" : `status_${response.status}`;
  throw new Error(words[problem] ?? words.failed, { cause: error });
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
    $("#problem").replaceChildren(
      element("p", { textContent: error.message }),
      element("small", { textContent: error.cause ?? "", lang: "en" }),
    );
  }
}
