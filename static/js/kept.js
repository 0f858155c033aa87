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

function keys(start) {
  let found = [];
  try { found = Object.keys(localStorage); } catch { /* see above */ }
  return found.filter((full) => full.startsWith(PREFIX + start)).map((full) => full.slice(PREFIX.length));
}

// `fresh`: where the text goes on when what it belongs to is not there any more.
function put(form, values) {
  const { key, name, autosave, fresh } = form.dataset;
  const plain = form.matches("[data-keep]");
  const kept = { at: Date.now(), values, name, url: form.getAttribute("action"), fresh, plain, edit: !plain && !autosave };
  try { localStorage.setItem(PREFIX + key, JSON.stringify(kept)); } catch { /* see above */ }
}

function drop(key) {
  try { localStorage.removeItem(PREFIX + key); } catch { /* see above */ }
}

// --- what is typed in a form, and putting it back ---
const OURS = ["csrfmiddlewaretoken", "form", "revision", "draft", "save", "of"];

function snapshot(form) {
  return JSON.stringify([...new FormData(form)].filter(([name]) => !OURS.includes(name)));
}

function fill(form, pairs) {
  const values = new Map();
  for (const [name, value] of pairs) values.set(name, [...(values.get(name) || []), value]);
  const named = (name) => [...form.elements].filter((control) => control.name === name);
  for (const [name, found] of values) {
    // A new form has one row for emails; what is put back may have more.
    const row = named(name).pop()?.closest(".tp-point-row");
    for (let n = row ? named(name).length : found.length; n < found.length; n++) {
      const copy = row.cloneNode(true);
      for (const part of copy.querySelectorAll("[id]")) part.id = `${part.id}-${n}`;
      row.after(copy);
    }
  }
  for (const control of form.elements) {
    if (!control.name || control.type === "hidden") continue;
    const found = values.get(control.name) || [];
    if (control.tomselect) control.tomselect.setValue(found);
    else if (control.multiple) for (const option of control.options) option.selected = found.includes(option.value);
    else if (control.type === "checkbox" || control.type === "radio") control.checked = found.includes(control.value);
    else control.value = found.shift() ?? "";
  }
}

// --- whose text it is: a data-key that ends in “new-” gets a name of its own, so that two new forms do not share one ---
const onTheirWay = new Map();
const like = (key) => key.replace(/[^/]*$/, "");
const isNew = (key) => /\/(new-[^/]*)?$/.test(key);

// Returns whether the form came back refused: then it goes on with the text of the one that was sent.
function named(form) {
  const { key } = form.dataset;
  if (!key.endsWith("/new-")) return false;
  const sent = onTheirWay.get(like(key));
  onTheirWay.delete(like(key)); // or an empty form opened later would take it for its own
  form.dataset.key = sent || `${key}${Date.now().toString(36)}${Math.random().toString(36).slice(2)}`;
  return Boolean(sent);
}
document.addEventListener("htmx:beforeRequest", ({ detail: { elt } }) => {
  if (elt.matches?.("form[data-key]")) onTheirWay.set(like(elt.dataset.key), elt.dataset.key);
});
// Before the swap, which may bring the next empty form; an answer that leads to another page swaps nothing.
for (const moment of ["htmx:beforeSwap", "htmx:afterRequest"]) {
  document.addEventListener(moment, ({ detail }) => {
    const form = detail.requestConfig?.elt;
    const { status } = detail.xhr || {};
    if (!form?.matches?.("form[data-key]") || !(status >= 200 && status < 400)) return;
    form.dataset.done = "yes";
    drop(form.dataset.key);
    onTheirWay.delete(like(form.dataset.key));
  });
}

// A form sent without htmx leads to another page, which tells whether the text arrived. `SENT`: its key and page, in this tab.
const SENT = "touchpoint:sent";

function sent(key) {
  try { sessionStorage.setItem(SENT, JSON.stringify({ key, from: location.href.split("#")[0] })); } catch { /* see above */ }
}

function arrived() {
  let found = null;
  if (!document.body.dataset.member) return; // the session ended: the text waits for whoever signs in again
  try {
    found = JSON.parse(sessionStorage.getItem(SENT) || "null");
    sessionStorage.removeItem(SENT);
  } catch { /* see above */ }
  // Whoever came here another way, as after an error of the connection, has not sent it.
  if (!found || document.referrer !== found.from) return;
  const { responseStatus: status, redirectCount } = performance.getEntriesByType("navigation")[0] || {};
  const start = like(found.key);
  const refused = status === 422 && document.querySelector(`form[data-keep][data-key="${CSS.escape(`${start}new-`)}"]`);
  if (refused) onTheirWay.set(start, found.key);
  if (refused || (status < 400 && redirectCount)) drop(found.key); // refused, the form has it
}

function keyIn(hash) {
  try { return decodeURIComponent(hash.slice(1)); } catch { return ""; }
}

// --- what a form offers: the text that its address names, its own, or the latest one of new forms like it ---
function take(form) {
  const { key } = form.dataset;
  const asked = keyIn(location.hash);
  const found = isNew(key) ? keys(like(key)).filter(isNew).map((one) => [one, read(PREFIX + one)]) : [[key, read(PREFIX + key)]];
  if (isNew(key) && asked.startsWith(like(key))) found.push([asked, read(PREFIX + asked)]);
  const there = found.filter(([, kept]) => kept).sort(([, one], [, other]) => other.at - one.at);
  return there.find(([one]) => one === asked) || there.find(([one]) => one === key) || there[0];
}

function offer(form, changed) {
  const box = form.querySelector("[data-draft-offer]");
  const [key, kept] = take(form) || [];
  if (!kept || !box || kept.values === snapshot(form)) return;
  form.dataset.offers = key;
  const line = document.createElement("p");
  box.replaceChildren(line);
  box.hidden = false;
  const tell = (text, ...buttons) => line.replaceChildren(text, ...buttons);
  const words = told(kept);
  tell(
    `${words[0].toUpperCase()}${words.slice(1)} `,
    button("Take it", () => {
      const before = snapshot(form);
      form.dataset.key = key;
      fill(form, JSON.parse(kept.values));
      tell("It is in the form now. ", button("Put back what was there", () => {
        fill(form, JSON.parse(before));
        box.hidden = true;
        changed();
      }));
      changed();
    }),
    button("Throw it away", () => { drop(key); delete form.dataset.offers; box.hidden = true; }),
  );
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
  made.className = "btn btn-sm me-2";
  made.textContent = text;
  made.addEventListener("click", act);
  return made;
}

// --- <div data-kept-here="start of the key">: what is kept, to go on with; the form that is open offers its own ---
function show() {
  for (const place of document.querySelectorAll("[data-kept-here]")) {
    place.replaceChildren();
    const open = [...document.querySelectorAll("form[data-key]")].filter((form) => !form.closest("details:not([open])"));
    const shown = open.flatMap((form) => [form.dataset.key, form.dataset.offers]);
    for (const key of keys(place.dataset.keptHere)) {
      const kept = read(PREFIX + key);
      if (kept?.url && !shown.includes(key)) place.append(notice(key, kept));
    }
    place.hidden = !place.childElementCount;
  }
}

function notice(key, kept) {
  const box = document.createElement("div");
  box.className = "tp-notice tp-color-azure";
  const words = document.createElement("p");
  words.textContent = `${kept.name}: ${told(kept)}`;
  const open = document.createElement("a");
  open.className = "btn btn-sm me-2";
  open.href = `${kept.url}#${encodeURIComponent(key)}`;
  open.textContent = "Go on with it";
  open.addEventListener("click", async (event) => {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const answer = await fetch(kept.url, { credentials: "same-origin", redirect: "manual" }).catch(() => null);
    if (answer?.status !== 404) location.assign(open.href);
    else if (kept.fresh) location.assign(`${kept.fresh}#${encodeURIComponent(key)}`);
    else open.replaceWith(`It is not there any more. What was typed: ${JSON.parse(kept.values).map(([, value]) => value).join(" ")}`);
  });
  words.append(" ", open, button("Throw it away", () => { drop(key); box.remove(); }));
  box.append(words);
  return box;
}

// How it came to be kept: changes of what is published, a draft out of reach, or a form that was not sent.
function told(kept) {
  if (kept.edit) return `changes typed ${when(kept.at)} are not saved.`;
  return kept.plain ? `text typed ${when(kept.at)} is not saved.` : `text typed ${when(kept.at)} did not reach the server.`;
}

// --- <form data-keep data-key data-name>: what is typed is kept until the server has it, or until it is cancelled ---
const watched = new WeakMap();

function watch(form) {
  if (watched.has(form)) return;
  const empty = named(form) ? "" : snapshot(form);
  let timer = 0;
  const now = () => {
    clearTimeout(timer);
    const typed = snapshot(form);
    if (form.dataset.done) return;
    if (typed === empty) drop(form.dataset.key);
    else put(form, typed);
  };
  watched.set(form, now);
  const soon = () => { clearTimeout(timer); timer = setTimeout(now, 300); };
  form.addEventListener("input", soon);
  form.addEventListener("change", soon);
  form.addEventListener("submit", () => form.matches("[hx-post]") || sent(form.dataset.key));
  form.querySelector("[data-cancel]")?.addEventListener("click", () => { form.dataset.done = "yes"; drop(form.dataset.key); });
  offer(form, soon);
}

function watchAll(root) {
  const forms = [...(root.matches?.("form[data-keep]") ? [root] : []), ...(root.querySelectorAll?.("form[data-keep]") || [])];
  forms.forEach(watch);
  if (forms.length) show();
}
addEventListener("pagehide", () => document.querySelectorAll("form[data-keep]").forEach((form) => watched.get(form)?.()));
document.addEventListener("htmx:load", (event) => watchAll(event.detail.elt));
// A form that is unfolded offers its own.
document.addEventListener("toggle", (event) => event.target.querySelector?.("form[data-keep]") && show(), true);
window.touchpointKept = { button, drop, fill, headers, named, offer, put, show, snapshot, when };
// Lists that are searched by typing take the place of their selects first.
document.addEventListener("DOMContentLoaded", () => { arrived(); show(); watchAll(document); });
