// window.touchpointKept: text that has not reached the server stays in this browser: of this member, by form. What belongs to nobody here is not shown.
const PREFIX = `touchpoint:draft:${document.body.dataset.member || ""}/`;

// --- which session this page belongs to: after signing in again in another tab the page goes on with the new one ---
function headers() {
  const token = /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie)?.[1];
  const { member } = document.body.dataset;
  return { ...(token && { "X-CSRFToken": token }), ...(member && { "X-Member": member }) };
}
// Every request of the page; a token that the form carries from an older session would be looked at first.
document.addEventListener("htmx:configRequest", (event) => {
  const { headers: sent, parameters } = event.detail;
  const now = headers();
  Object.assign(sent, now);
  if (now["X-CSRFToken"] && parameters?.has?.("csrfmiddlewaretoken")) parameters.set("csrfmiddlewaretoken", now["X-CSRFToken"]);
});

// --- the store; a full or forbidden one loses nothing that the server has ---
const read = (key) => { try { return JSON.parse(localStorage.getItem(key) || "null"); } catch { return null; } };

function put(form, values) {
  const { key, name } = form.dataset;
  const kept = { at: Date.now(), values, name, url: form.getAttribute("action"), edit: !form.dataset.autosave };
  try { localStorage.setItem(PREFIX + key, JSON.stringify(kept)); } catch { /* see above */ }
}

function take(form) {
  return read(PREFIX + form.dataset.key);
}

function drop(key) {
  try { localStorage.removeItem(PREFIX + key); } catch { /* see above */ }
}

function when(at) {
  const date = new Date(at);
  const time = date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  if (date.toDateString() === new Date().toDateString()) return `at ${time}`;
  return `on ${date.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" })}, ${time}`;
}

function button(text, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "btn btn-sm ms-2";
  made.textContent = text;
  made.addEventListener("click", act);
  return made;
}

// --- <div data-kept-here="start of the key">: what is kept, to go on with; the form that is open offers its own ---
function show() {
  for (const place of document.querySelectorAll("[data-kept-here]")) {
    place.replaceChildren();
    let keys = [];
    try { keys = Object.keys(localStorage); } catch { /* see above */ }
    for (const full of keys.filter((one) => one.startsWith(PREFIX + place.dataset.keptHere))) {
      const key = full.slice(PREFIX.length);
      const kept = read(full);
      if (!kept?.url || document.querySelector(`form[data-key="${CSS.escape(key)}"]`)) continue;
      place.append(notice(key, kept));
    }
    place.hidden = !place.childElementCount;
  }
}

function notice(key, kept) {
  const box = document.createElement("div");
  box.className = "tp-notice tp-color-azure";
  const words = document.createElement("p");
  words.textContent = kept.edit
    ? `${kept.name}: changes typed ${when(kept.at)} are not saved.`
    : `${kept.name}: text typed ${when(kept.at)} did not reach the server.`;
  const open = document.createElement("a");
  open.className = "btn btn-sm ms-2";
  open.href = kept.url;
  open.textContent = "Go on with it";
  words.append(" ", open, button("Throw it away", () => { drop(key); box.remove(); }));
  box.append(words);
  return box;
}
show();
window.touchpointKept = { button, drop, headers, put, show, take, when };
