// Autosaved drafts. A form marked data-activity-form is saved a second after the last change, on blur, and on leaving the
// page. What cannot reach the server stays in this browser and is offered the next time the form is opened.
const PAUSE = 1000;
const PREFIX = "touchpoint:draft:";
const states = new WeakMap();

function start(form) {
  if (states.has(form)) return;
  const state = { form, timer: 0, running: null, flying: "", saves: 0, again: false, done: false, sent: snapshot(form) };
  states.set(form, state);
  form.addEventListener("input", () => changed(state));
  form.addEventListener("change", () => changed(state));
  form.addEventListener("focusout", () => flush(state));
  form.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
      event.preventDefault();
      form.requestSubmit(form.querySelector("[data-publish]"));
    }
  });
  // Publishing waits for the save under way, so that both are about one activity.
  form.addEventListener("htmx:confirm", (event) => {
    if (event.target !== form) return;
    event.preventDefault();
    clearTimeout(state.timer);
    Promise.resolve(state.running).then(() => event.detail.issueRequest(true));
  });
  form.addEventListener("htmx:afterRequest", (event) => {
    if (event.target === form && event.detail.successful) { state.done = true; forget(state); }
    if (event.target === form && !event.detail.successful && !event.detail.xhr?.status) keep(state, "The server cannot be reached.");
  });
  offer(state);
  const first = form.querySelector("[data-focus], .is-invalid, input:not([type=hidden]), select, textarea");
  if (first && !document.querySelector("dialog[open]")) first.focus({ preventScroll: false });
}

function snapshot(form) {
  const pairs = [...new FormData(form)].filter(([name]) => !["csrfmiddlewaretoken", "form", "revision", "draft", "save", "of"].includes(name));
  return JSON.stringify(pairs);
}

function changed(state) {
  if (!state.form.dataset.autosave || state.done) return;
  clearTimeout(state.timer);
  state.timer = setTimeout(() => save(state), PAUSE);
}

function flush(state) {
  if (state.timer) save(state);
}

function save(state, keepalive = false) {
  clearTimeout(state.timer);
  state.timer = 0;
  const { form } = state;
  if (!form.dataset.autosave || state.done) return null;
  const now = snapshot(form);
  // Between two versions the person decides; until then the text is kept here.
  if (state.conflict) { remember(state); return null; }
  if (now === state.sent || now === state.flying) return state.running;
  if (state.running && !keepalive) { state.again = true; return state.running; }
  const body = new FormData(form);
  body.set("revision", form.dataset.revision || "");
  body.set("draft", form.dataset.draft || "");
  // Saves that overtake each other are put in order by the server.
  body.set("seq", ++state.saves);
  state.flying = now;
  remember(state);
  say(state, "Saving …");
  state.running = fetch(form.dataset.autosave, {
    method: "POST", body, keepalive, credentials: "same-origin", redirect: "manual",
    headers: { Accept: "application/json", "X-CSRFToken": body.get("csrfmiddlewaretoken") },
  })
    .then(async (response) => {
      if (response.status === 204) { state.sent = now; say(state, ""); forget(state); return; }
      if (response.status === 409) return conflict(state, await response.json());
      const isJson = (response.headers.get("Content-Type") || "").includes("json");
      if (response.type === "opaqueredirect" || response.status === 401 || (response.status === 403 && !isJson)) {
        return keep(state, "Your session has ended. Your text is kept in this browser; sign in again to go on.");
      }
      if (!response.ok) {
        const answer = await response.json().catch(() => ({}));
        return keep(state, answer.message || "The draft could not be saved. Your text is kept in this browser.");
      }
      const answer = await response.json();
      state.sent = now;
      adopt(form, answer);
      forget(state);
      say(state, `Saved as draft ${answer.saved_at}${answer.note ? `. ${answer.note}` : ""}`);
    })
    .catch(() => keep(state, "The server cannot be reached. Your text is kept in this browser."))
    .finally(() => {
      state.running = null;
      state.flying = "";
      if (state.again) { state.again = false; save(state); }
    });
  return state.running;
}

function adopt(form, answer) {
  form.dataset.revision = answer.revision;
  form.dataset.draft = answer.id;
  form.dataset.autosave = answer.url;
  form.setAttribute("action", answer.action);
  form.setAttribute("hx-post", answer.action);
  form.querySelector("[name=revision]").value = answer.revision;
  form.querySelector("[name=draft]").value = answer.id;
  window.htmx?.process(form);
}

function say(state, text, failed = false) {
  const line = state.form.querySelector("[data-draft-line]");
  if (!line) return;
  line.textContent = text;
  line.classList.toggle("tp-draft-failed", failed);
}

// --- what could not be sent ------------------------------------------------------------------------------------------
function remember(state) {
  try { localStorage.setItem(PREFIX + state.form.dataset.key, JSON.stringify({ at: Date.now(), values: snapshot(state.form) })); } catch { /* a full store loses nothing that the server has */ }
}

function keep(state, text) {
  remember(state);
  say(state, text, true);
}

function forget(state) {
  localStorage.removeItem(PREFIX + state.form.dataset.key);
}

function offer(state) {
  const kept = JSON.parse(localStorage.getItem(PREFIX + state.form.dataset.key) || "null");
  const box = state.form.querySelector("[data-draft-offer]");
  if (!kept || !box || kept.values === snapshot(state.form)) return;
  box.textContent = `Text typed ${new Date(kept.at).toLocaleString()} did not reach the server. `;
  box.append(
    button("Take it", () => { fill(state.form, JSON.parse(kept.values)); box.hidden = true; changed(state); }),
    button("Throw it away", () => { forget(state); box.hidden = true; }),
  );
  box.hidden = false;
}

function button(text, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "btn btn-sm ms-2";
  made.textContent = text;
  made.addEventListener("click", act);
  return made;
}

function fill(form, pairs) {
  const values = new Map();
  for (const [name, value] of pairs) values.set(name, [...(values.get(name) || []), value]);
  for (const control of form.elements) {
    if (!control.name || control.type === "hidden") continue;
    const found = values.get(control.name) || [];
    if (control.tomselect) control.tomselect.setValue(found);
    else if (control.multiple) for (const option of control.options) option.selected = found.includes(option.value);
    else if (control.type === "checkbox" || control.type === "radio") control.checked = found.includes(control.value);
    else control.value = found[0] ?? "";
  }
}

// The words of a field's label, without the mark of a required one.
function labelOf(form, name) {
  const label = form.querySelector(`label[for$="${CSS.escape(name)}"]`);
  return label?.firstChild?.textContent.trim() || name;
}

// What a chosen value is called in the form's own list; searchable lists keep theirs apart.
function wordsOf(form, name, value) {
  const control = form.elements[name];
  const known = control?.tomselect?.options[value]?.text;
  return known || [...(control?.options || [])].find((option) => option.value === value)?.textContent || value;
}

function conflict(state, answer) {
  const box = state.form.querySelector("[data-draft-conflict]");
  if (!box) return;
  box.textContent = "";
  const words = document.createElement("div");
  const line = document.createElement("p");
  line.textContent = answer.message;
  words.append(line);
  if (answer.published) { box.append(words); box.hidden = false; state.done = true; return; }
  state.conflict = true;
  const list = document.createElement("dl");
  list.className = "tp-facts";
  for (const [name, value] of Object.entries(answer.theirs)) {
    const label = document.createElement("dt");
    label.textContent = labelOf(state.form, name);
    const text = document.createElement("dd");
    text.textContent = [value].flat().map((one) => wordsOf(state.form, name, one)).join(", ");
    list.append(label, text);
  }
  words.append("The other version:", list);
  words.append(
    button("Keep mine", () => { state.conflict = false; state.form.dataset.revision = answer.revision; state.sent = ""; box.hidden = true; save(state); }),
    button("Take the other", () => {
      fill(state.form, Object.entries(answer.theirs).flatMap(([name, value]) => [value].flat().map((one) => [name, one])));
      state.conflict = false;
      state.form.dataset.revision = answer.revision;
      state.sent = snapshot(state.form);
      forget(state);
      box.hidden = true;
      say(state, "The other version is taken.");
    }),
  );
  box.append(words);
  box.hidden = false;
  keep(state, "Not saved: two versions.");
}

function each(root) {
  if (root.matches?.("form[data-activity-form]")) start(root);
  for (const form of root.querySelectorAll?.("form[data-activity-form]") || []) start(form);
}

document.addEventListener("htmx:load", (event) => each(event.detail.elt));
each(document);

addEventListener("pagehide", () => {
  for (const form of document.querySelectorAll("form[data-activity-form]")) {
    const state = states.get(form);
    if (state) save(state, true);
  }
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "hidden") return;
  for (const form of document.querySelectorAll("form[data-activity-form]")) {
    const state = states.get(form);
    if (state) save(state, true);
  }
});

document.addEventListener("click", (event) => {
  const close = event.target.closest("[data-close-form]");
  const frame = document.querySelector("#timeline-frame");
  if (!close || !frame) return;
  event.preventDefault();
  const form = close.closest("form");
  const state = states.get(form);
  Promise.resolve(save(state)).then(() => {
    state.done = true;
    form.closest("#compose").replaceChildren();
    document.body.dispatchEvent(new CustomEvent("timeline-changed"));
    document.querySelector("#new-activity")?.focus();
  });
});

// Typing in the menu of types filters it; arrows and Enter are the menu's own.
document.addEventListener("input", (event) => {
  const box = event.target.closest("[data-filter-menu]");
  if (!box) return;
  const words = box.value.trim().toLowerCase();
  for (const item of box.parentElement.querySelectorAll(".dropdown-item")) item.hidden = !item.textContent.toLowerCase().includes(words);
});
document.addEventListener("shown.bs.dropdown", (event) => event.target.parentElement.querySelector("[data-filter-menu]")?.focus());
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !event.target.matches?.("[data-filter-menu]")) return;
  event.preventDefault();
  event.target.parentElement.querySelector(".dropdown-item:not([hidden])")?.click();
});

// A panel below a card (its history) closes and gives the focus back to the card's menu.
document.addEventListener("click", (event) => {
  const close = event.target.closest("[data-close-panel]");
  if (!close) return;
  const card = close.closest("article");
  if (!card) return history.back();
  close.closest(".tp-history").remove();
  card.querySelector("[data-bs-toggle=dropdown]")?.focus();
});

// A permalink opens the lead at its card, wherever paging or filters would have it.
document.addEventListener("htmx:load", (event) => {
  const card = new URLSearchParams(location.search).has("activity") && event.detail.elt.querySelector?.(".tp-found");
  if (!card || document.documentElement.dataset.found) return;
  document.documentElement.dataset.found = card.id;
  card.tabIndex = -1;
  card.scrollIntoView({ block: "center" });
  card.focus({ preventScroll: true });
});

// Rows came anew: the selection counts what is there now.
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.elt.id !== "timeline-list") return;
  const box = event.detail.elt.querySelector("[data-select]");
  const bar = document.querySelector("#timeline [data-selection-bar]");
  if (box) box.dispatchEvent(new Event("change", { bubbles: true }));
  else if (bar) bar.hidden = true;
});
document.addEventListener("click", (event) => {
  const close = event.target.closest("[data-close-notice]");
  const notice = close && document.querySelector("#timeline #delete-selected");
  if (!notice) return;
  event.preventDefault();
  const empty = document.createElement("div");
  empty.id = "delete-selected";
  notice.replaceWith(empty);
});

// A menu made of <details data-close-outside> closes like a menu.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details[data-close-outside][open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && event.target.closest?.("details[data-close-outside][open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
