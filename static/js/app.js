// What every page does: theme switch, drawer, toasts, confirmations, focus after swaps, shortcuts.
const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const typing = (element) => element?.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable=true], .ts-wrapper") != null;

// --- theme ---
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-set-theme]");
  if (!button) return;
  window.touchpointTheme(button.dataset.setTheme);
  showTheme();
});
function showTheme() {
  for (const button of all("[data-set-theme]")) {
    button.setAttribute("aria-pressed", String(button.dataset.setTheme === document.documentElement.dataset.theme));
  }
}
showTheme();

// --- sidebar drawer (narrow screens) ---
const sidebar = one("#sidebar");
const opener = one("[data-drawer-open]");
function drawer(open) {
  if (!sidebar) return;
  document.documentElement.classList.toggle("tp-drawer-open", open);
  opener?.setAttribute("aria-expanded", String(open));
  const column = one(".tp-column");
  if (column) column.inert = open;
  if (open) one("[data-drawer-close]", sidebar)?.focus();
  else if (sidebar.contains(document.activeElement)) opener?.focus();
}
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-drawer-open]")) drawer(true);
  else if (event.target.closest("[data-drawer-close]")) drawer(false);
});
matchMedia("(min-width: 992px)").addEventListener("change", () => drawer(false));

// --- the pages of the settings: a strip on narrow screens, which starts at the page that is open ---
const here = one(".tp-subnav [aria-current]");
if (here) {
  const strip = here.closest(".tp-subnav");
  const [whole, part] = [strip, here].map((element) => element.getBoundingClientRect());
  strip.scrollLeft += part.left + part.width / 2 - whole.left - whole.width / 2;
}

// --- toasts: the response header HX-Trigger: {"toast": {level, text, undo_url?, undo_label?}} ---
const toasts = one("#toasts");
function toast({ level = "info", text, undo_url: undoUrl, undo_label: undoLabel }) {
  const template = one("#toast-template");
  if (!toasts || !template || !text) return;
  const box = template.content.firstElementChild.cloneNode(true);
  box.className = `tp-toast tp-toast-${level}`;
  one(".tp-toast-text", box).textContent = text;
  const undo = one("[data-toast-undo]", box);
  if (undoUrl) {
    undo.dataset.toastUndo = undoUrl;
    undo.textContent = undoLabel || "Undo";
  } else undo.remove();
  toasts.append(box);
  expire(box);
  return box;
}
function expire(box) {
  // Errors and offers to undo stay longer; pointing at a message or focusing it holds it.
  const long = one("[data-toast-undo]", box) || /danger|error/.test(box.className);
  const leave = () => (box.matches(":hover, :focus-within") ? setTimeout(leave, 2000) : box.remove());
  setTimeout(leave, long ? 12000 : 5000);
}
if (toasts) all("[data-toast]", toasts).forEach(expire);
document.addEventListener("toast", (event) => toast(event.detail));
document.addEventListener("click", (event) => {
  const close = event.target.closest("[data-toast-close], [data-toast-undo]");
  if (!close) return;
  if (close.dataset.toastUndo) {
    const target = one(close.dataset.target || "#main");
    window.htmx.ajax("POST", close.dataset.toastUndo, { target, swap: "none" });
  }
  close.closest("[data-toast]").remove();
});

// --- a response that was not swapped says why ---
const reasons = {
  401: "You have been signed out. Sign in again in another tab, then repeat this.",
  402: "Your plan does not allow more of these this month.",
  403: "You are not allowed to do that.",
  404: "That is not there any more. Reload the page to see what is.",
  413: "That is too large to send.",
  429: "That was too fast. Wait a moment and try again.",
};
document.addEventListener("htmx:responseError", (event) => {
  const { xhr } = event.detail;
  if (event.target.closest?.("[data-own-errors]")) return;
  if (/"toast"/.test(xhr.getResponseHeader("HX-Trigger") || "")) return;
  const plain = (xhr.getResponseHeader("Content-Type") || "").startsWith("text/plain") ? xhr.responseText.slice(0, 300) : "";
  toast({ level: "danger", text: plain || reasons[xhr.status] || "Something went wrong on our side. Try again." });
});
let unreachable; // once is enough for a part that asks every second
for (const name of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(name, (event) => {
    if (event.target.closest?.("[data-own-errors]") || unreachable?.isConnected) return;
    unreachable = toast({ level: "danger", text: "The server cannot be reached. Check your connection and try again." });
  });
}

// --- data-confirm: one dialog for htmx requests and plain forms ---
const confirmation = one("#confirm-dialog");
function ask(element, onYes, question = element.dataset.confirm) {
  const { confirmTitle, confirmLabel, confirmType } = element.dataset;
  one("#confirm-title").textContent = confirmTitle || "Are you sure?";
  one("#confirm-text").textContent = question;
  const yes = one("[data-confirm-yes]", confirmation);
  yes.textContent = confirmLabel || "Yes, go on";
  const nameRow = one("[data-confirm-name]", confirmation);
  const name = one("#confirm-name");
  nameRow.hidden = !confirmType;
  one("[data-confirm-expected]", confirmation).textContent = confirmType || "";
  name.value = "";
  const check = () => (yes.disabled = Boolean(confirmType) && name.value.trim() !== confirmType);
  name.oninput = check;
  check();
  confirmation.returnValue = "cancel";
  confirmation.addEventListener(
    "close",
    () => {
      element.isConnected && element.focus?.();
      if (confirmation.returnValue === "yes") onYes();
    },
    { once: true },
  );
  confirmation.showModal();
  (confirmType ? name : one("[data-confirm-cancel]", confirmation)).focus();
}
// Enter in the name field must not press Cancel, the dialog's first button.
one("#confirm-name")?.addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  const yes = one("[data-confirm-yes]", confirmation);
  if (!yes.disabled) yes.click();
});
document.addEventListener("htmx:confirm", (event) => {
  const asking = event.detail.elt.closest("[data-confirm]");
  if (!asking || asking !== event.detail.elt) return;
  event.preventDefault();
  ask(asking, () => event.detail.issueRequest(true));
});
// Does a form hold something else than it came with?
function isChanged(form) {
  const chosen = ({ options }) => ([...options].find((option) => option.defaultSelected) || options[0])?.value;
  return [...form.elements].some((control) => {
    if (control.matches("select")) return control.value !== chosen(control);
    if (control.matches("[type=checkbox], [type=radio]")) return control.checked !== control.defaultChecked;
    return control.matches("input:not([type=hidden]), textarea") && control.value !== control.defaultValue;
  });
}
// data-unsaved="another form": data-unsaved-text is asked when what is typed there would be lost.
document.addEventListener(
  "submit",
  (event) => {
    const form = event.target;
    const other = form.dataset.unsaved && one(form.dataset.unsaved);
    const loses = other && isChanged(other) ? form.dataset.unsavedText : "";
    const asking = !loses && event.submitter?.dataset.confirm ? event.submitter : form;
    const question = loses || asking.dataset.confirm;
    const byHtmx = form.matches("[hx-post], [hx-get], [hx-put], [hx-delete], [hx-patch]");
    if (!question || form.dataset.confirmed || (byHtmx && asking === form)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const goOn = () => {
      form.dataset.confirmed = "yes";
      form.requestSubmit(event.submitter);
      delete form.dataset.confirmed;
    };
    ask(asking, goOn, question);
  },
  true,
);

// --- focus after a swap: [data-focus] or [autofocus] inside what came, else where it was (htmx keeps ids) ---
document.addEventListener("htmx:afterSettle", (event) => {
  const root = event.detail.elt;
  const wanted = root.matches?.("[data-focus], [autofocus]") ? root : one("[data-focus], [autofocus]", root);
  (wanted?.tomselect ?? wanted)?.focus();
});
// A page that opens with an error summary starts there.
one("main [data-focus]")?.focus();

// --- select all, and the bar that slides in: <form data-selection> ... ---
document.addEventListener("change", (event) => {
  const form = event.target.closest("[data-selection]");
  if (!form || !event.target.matches("[data-select], [data-select-all]")) return;
  const boxes = all("[data-select]", form);
  if (event.target.matches("[data-select-all]")) boxes.forEach((box) => (box.checked = event.target.checked));
  showSelection(form, boxes);
});
function showSelection(form, boxes) {
  const chosen = boxes.filter((box) => box.checked).length;
  const every = one("[data-select-all]", form);
  if (every) {
    every.checked = chosen > 0 && chosen === boxes.length;
    every.indeterminate = chosen > 0 && chosen < boxes.length;
  }
  for (const box of boxes) box.closest("tr")?.classList.toggle("tp-selected", box.checked);
  const bar = one("[data-selection-bar]", form);
  if (!bar) return;
  bar.hidden = chosen === 0;
  const count = one("[data-selection-count]", bar);
  if (count) count.textContent = String(chosen);
}
document.addEventListener("click", (event) => {
  const clear = event.target.closest("[data-selection-clear]");
  const form = clear?.closest("[data-selection]");
  if (!form) return;
  const boxes = all("[data-select]", form);
  boxes.forEach((box) => (box.checked = false));
  showSelection(form, boxes);
  one("[data-select-all]", form)?.focus();
});

// --- copy a link or a key: data-copy="text" ---
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  event.preventDefault();
  const text = button.dataset.copy || button.href;
  try {
    await navigator.clipboard.writeText(/^[/#?]\S*$/.test(text) ? new URL(text, location.href).href : text);
    toast({ level: "success", text: button.dataset.copied || "Copied." });
  } catch {
    toast({ level: "warning", text: `Copying is not allowed here. The text is: ${text}` });
  }
});

// --- a countdown below a limited text: data-countdown="id of the field" ---
document.addEventListener("input", (event) => {
  const place = event.target.id && one(`[data-countdown="${CSS.escape(event.target.id)}"]`);
  if (place) place.textContent = `${event.target.maxLength - event.target.value.length} characters left`;
});

// --- controls that send their form when they change: data-submit-on-change ---
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit-on-change]")) event.target.form?.requestSubmit();
});

// --- shortcuts ---
const help = one("#shortcuts-dialog");
function showHelp() {
  if (!help || help.open) return;
  const list = one("[data-shortcuts]", help);
  all("[data-page-shortcut]", list).forEach((row) => row.remove());
  for (const element of all("[data-shortcut][data-shortcut-text]")) {
    const row = document.createElement("div");
    row.dataset.pageShortcut = "";
    const key = document.createElement("kbd");
    key.textContent = element.dataset.shortcut;
    const term = document.createElement("dt");
    term.append(key);
    const text = document.createElement("dd");
    text.textContent = element.dataset.shortcutText;
    row.append(term, text);
    list.append(row);
  }
  help.showModal();
}
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-shortcuts-open]")) showHelp();
});
const places = { l: "leads", c: "contacts", a: "activities", t: "tasks", r: "reports", d: "drafts", s: "settings" };
let going = 0;
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && document.documentElement.classList.contains("tp-drawer-open")) return drawer(false);
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (one("dialog[open]")) return;
  if (event.key === "?") {
    event.preventDefault();
    return showHelp();
  }
  if (Date.now() - going < 1200 && places[event.key]) {
    going = 0;
    const link = one(`[data-nav="${places[event.key]}"]`);
    if (link) location.assign(link.href);
    return;
  }
  going = event.key === "g" ? Date.now() : 0;
  // data-shortcut="n" on a button or link clicks it; on a field focuses it.
  const target = event.key.length === 1 && one(`[data-shortcut="${CSS.escape(event.key)}"]`);
  if (!target) return;
  event.preventDefault();
  const fold = target.closest("#search-form") && one("#search-fold");
  if (fold) fold.checked = true; // what is folded away takes no focus
  if (typing(target)) (target.tomselect ?? target).focus();
  else target.click();
});

// --- what is typed into the search builder while an answer is on its way stays: the answer knows nothing of it ---
let typed = null;
let restored = null;
document.addEventListener("htmx:beforeSwap", (event) => {
  const box = document.activeElement;
  const kept = event.detail.target?.closest?.("#search") && event.detail.target.contains(box) && box.id;
  typed = kept && box.matches("input.form-control:not([type=date])") && box.value !== box.defaultValue ? box : null;
});
document.addEventListener("htmx:afterSwap", () => {
  const box = typed && document.getElementById(typed.id);
  if (box && box !== typed && box.value !== typed.value) {
    box.value = typed.value;
    box.focus();
    box.setSelectionRange(typed.selectionStart, typed.selectionStart);
    restored = box;
  }
  typed = null;
});
document.addEventListener("htmx:afterSettle", () => {
  // Only now is the new form wired: ask again, with what was typed.
  restored?.dispatchEvent(new Event("change", { bubbles: true }));
  restored = null;
});

// --- a form that one of its own fields has drawn anew (data-redrawn): what was changed while the answer was on its way stays ---
let sent = new Map();
let changed = [];
const redrawn = (target) => target?.closest?.("form[data-redrawn]");
const chosen = (box) => [...box.selectedOptions].map((option) => option.value);
function stateOf(box) {
  if (box.matches("[type=checkbox], [type=radio]")) return box.checked;
  return box.matches("select") ? chosen(box).join("\n") : box.value;
}
document.addEventListener("htmx:beforeRequest", ({ detail }) => {
  const form = redrawn(detail.target);
  if (form) sent = new Map([...form.elements].filter((box) => box.id).map((box) => [box.id, stateOf(box)]));
});
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const form = redrawn(detail.target);
  changed = form ? [...form.elements].filter((box) => sent.has(box.id) && sent.get(box.id) !== stateOf(box)) : [];
});
document.addEventListener("htmx:afterSwap", () => {
  for (const old of changed) {
    const box = document.getElementById(old.id);
    if (!box || box === old) continue;
    if (box.matches("select")) for (const option of box.options) option.selected = chosen(old).includes(option.value);
    else if (box.matches("[type=checkbox], [type=radio]")) box.checked = old.checked;
    else box.value = old.value;
    if (box.closest("[hx-post]")) restored = box; // what hangs on it is asked for again
  }
  changed = [];
});
