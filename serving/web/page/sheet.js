// Opens the sheet whose token is in the address behind the #, which no server and no log sees.

async function open() {
  const fields = new URLSearchParams({ token: location.hash.slice(1) });
  const response = await fetch(location.pathname + location.search, { method: "POST", body: fields });
  const sheet = new DOMParser().parseFromString(await response.text(), "text/html");
  document.documentElement.lang = sheet.documentElement.lang;
  document.title = sheet.title;
  document.querySelector("main").replaceWith(sheet.querySelector("main"));
}

addEventListener("hashchange", open);
open();
