// Autosaved drafts. A form marked data-activity-form is saved a second after the last change, on blur, and on leaving the
// page. What cannot reach the server, and changes of a published activity until they are saved, stay in this browser and
// are offered the next time the form is opened.
const { button, drop, fill, headers, named, offer, put, show, snapshot } = window.touchpointKept;

const PAUSE = 1000;
const AGAIN = 5000;
const states = new WeakMap();

function start(form) {
  if (states.has(form)) return;
  named(form);
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
    state.timer = 0;
    // The focus leaves the form with the answer: that is no blur to save at.
    state.publishing = true;
    Promise.resolve(state.running).then(() => event.detail.issueRequest(true));
  });
  form.addEventListener("htmx:afterRequest", (event) => {
    if (event.target !== form) return;
    const { status } = event.detail.xhr || {};
    // Not `successful`: htmx does not say so of an answer that leads to another page.
    if (status >= 200 && status < 400) { state.done = true; forget(state); }
    else if (form.isConnected) {
      state.publishing = false;
      const why = { 0: "The server cannot be reached. Your text is kept in this browser.", 401: event.detail.xhr?.responseText };
      keep(state, why[status || 0] || "Not published. Your text is kept in this browser.");
      state.timer = setTimeout(() => save(state), AGAIN);
    }
  });
  offer(form, () => changed(state));
  // A form that came back refused holds what was typed last; no save has seen that.
  if (form.dataset.unsaved) { state.sent = ""; changed(state); }
  show();
  const first = form.querySelector("[data-focus], .is-invalid, input:not([type=hidden]), select, textarea");
  if (first && !document.querySelector("dialog[open]")) first.focus({ preventScroll: false });
}

function changed(state) {
  if (state.done) return;
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
  if (state.done) return null;
  const now = snapshot(form);
  if (state.publishing) { if (keepalive) remember(state); return state.running; }
  // Changes of what is published wait for the button.
  if (!form.dataset.autosave) {
    if (now === state.sent) forget(state);
    else keep(state, "Not saved yet. Your changes are kept in this browser.", false);
    return null;
  }
  // Between two versions the person decides; until then the text is kept here.
  if (state.conflict) { remember(state); return null; }
  if (now === state.sent || now === state.flying) return state.running;
  if (state.running && !keepalive) { state.again = true; return state.running; }
  const body = new FormData(form);
  body.set("revision", form.dataset.revision || "");
  body.set("draft", form.dataset.draft || "");
  // Saves that overtake each other are put in order by the server.
  body.set("seq", ++state.saves);
  body.delete("csrfmiddlewaretoken");
  state.flying = now;
  remember(state);
  say(state, "Saving …");
  state.running = fetch(form.dataset.autosave, {
    method: "POST", body, keepalive, credentials: "same-origin", redirect: "manual",
    headers: { Accept: "application/json", ...headers() },
  })
    .then(async (response) => {
      if (response.status === 204) { state.sent = now; say(state, ""); forget(state); return; }
      if (response.status === 409) return conflict(state, await response.json());
      const isJson = (response.headers.get("Content-Type") || "").includes("json");
      if (response.type === "opaqueredirect" || response.status === 401 || (response.status === 403 && !isJson)) {
        return keep(state, response.status === 401 ? await response.text() : "Your session has ended. Your text is kept in this browser: sign in again in another tab, then go on here.");
      }
      if (!response.ok) {
        const answer = await response.json().catch(() => ({}));
        return keep(state, answer.message || "The draft could not be saved. Your text is kept in this browser.");
      }
      const answer = await response.json();
      state.sent = now;
      forget(state);
      adopt(form, answer);
      say(state, `Saved as draft ${answer.saved_at}${answer.note ? `. ${answer.note}` : ""}`);
    })
    .catch(() => {
      keep(state, "The server cannot be reached. Your text is kept in this browser.");
      state.timer ||= setTimeout(() => form.isConnected && save(state), AGAIN);
    })
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
  form.dataset.key = form.dataset.key.replace(/[^/]*$/, answer.id);
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
  put(state.form, snapshot(state.form));
}

function keep(state, text, failed = true) {
  remember(state);
  say(state, text, failed);
}

function forget(state) {
  drop(state.form.dataset.key);
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

function saveAll(keepalive) {
  for (const form of document.querySelectorAll("form[data-activity-form]")) {
    const state = states.get(form);
    if (state) save(state, keepalive);
  }
}
addEventListener("pagehide", () => saveAll(true));
document.addEventListener("visibilitychange", () => saveAll(document.visibilityState === "hidden"));
// Back from signing in elsewhere, or in reach of the server again: what is kept goes there.
addEventListener("focus", () => saveAll(false));
addEventListener("online", () => saveAll(false));

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
    show();
    document.body.dispatchEvent(new CustomEvent("timeline-changed"));
    document.querySelector("#new-activity")?.focus();
  });
});

// A draft that is thrown away takes along what is kept of it here.
document.addEventListener("htmx:beforeSwap", (event) => {
  const button = event.detail.requestConfig?.elt;
  const state = button?.matches?.("[data-discard]") && event.detail.xhr.status < 300 && states.get(button.closest("form"));
  if (!state) return;
  clearTimeout(state.timer);
  state.done = true;
  forget(state);
});

// Typing in the menu of types filters it: Enter takes the name that is typed, else one that begins so, else the first that
// has it; arrows are the menu's own.
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
  const words = event.target.value.trim().toLowerCase();
  const items = [...event.target.parentElement.querySelectorAll(".dropdown-item:not([hidden])")];
  const name = (item) => item.firstElementChild.nextSibling.textContent.trim().toLowerCase();
  (items.find((item) => name(item) === words) || items.find((item) => name(item).startsWith(words)) || items[0])?.click();
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

// Work goes on at the card that was just published, and after a deletion at the one that took its place.
document.addEventListener("htmx:afterSettle", (event) => {
  const card = document.activeElement === document.body && event.detail.elt.id === "timeline-frame" && event.detail.elt.querySelector(".tp-found");
  if (!card) return;
  card.tabIndex = -1;
  card.focus({ preventScroll: true });
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const row = event.detail.target;
  if (!row.matches?.("li.tp-event") || event.detail.xhr.status !== 200 || event.detail.serverResponse) return;
  const next = [row.nextElementSibling, row.previousElementSibling].find((one) => one?.querySelector("article [data-bs-toggle=dropdown]"));
  row.addEventListener("htmx:afterRequest", () => {
    if (document.activeElement === document.body) (next?.querySelector("[data-bs-toggle=dropdown]") || document.querySelector("#new-activity"))?.focus();
  });
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
