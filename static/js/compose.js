// Writing: text areas that grow, @mentions, number keys for the outcome.

// --- <textarea data-grow> is as tall as its text ---
function grow(control) {
  control.style.height = "auto";
  control.style.height = `${Math.min(control.scrollHeight + 2, 600)}px`;
}
document.addEventListener("input", (event) => {
  if (event.target.matches?.("textarea[data-grow]")) grow(event.target);
});
document.addEventListener("toggle", (event) => event.target.querySelectorAll?.("textarea[data-grow]").forEach(grow), true);

// --- Ctrl or Cmd and Enter sends the comment ---
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || !event.target.matches?.("textarea[data-mentions]")) return;
  event.preventDefault();
  event.target.form.requestSubmit();
});
document.addEventListener("toggle", (event) => {
  if (event.target.matches?.(".tp-comment-new[open]") && event.target.contains(document.activeElement)) event.target.querySelector("textarea")?.focus();
}, true);

// --- @mentions: <textarea data-mentions="address of the members">; the list opens with @ and narrows while typing ---
const members = new Map();
let list = null;

function people(url) {
  if (!members.has(url)) {
    const asked = fetch(url, { headers: { Accept: "application/json" }, credentials: "same-origin" })
      .then((response) => (response.ok ? response.json() : { results: [] }))
      .then(({ results }) => results)
      .catch(() => { members.delete(url); return []; });
    members.set(url, asked);
  }
  return members.get(url);
}

// What stands between the last @ and the caret, or null where no mention is being typed.
function typedName(box) {
  const before = box.value.slice(0, box.selectionStart);
  const found = /(?:^|[^\p{L}\p{N}@_])@([^@\n]{0,40})$/u.exec(before);
  return found ? found[1] : null;
}

async function suggest(box) {
  const typed = typedName(box);
  if (typed === null) return close();
  const words = typed.toLowerCase();
  const all = await people(box.dataset.mentions);
  if (document.activeElement !== box || typedName(box) !== typed) return;
  const fits = all.filter(({ name, email }) => [name, ...name.split(" ").slice(1), email].some((text) => text.toLowerCase().startsWith(words))).slice(0, 8);
  if (!fits.length) return close();
  if (!list || list.box !== box) open(box);
  list.typed = typed;
  list.element.replaceChildren(
    ...fits.map((person, index) => {
      const option = document.createElement("li");
      option.id = `mention-${index}`;
      option.setAttribute("role", "option");
      const name = document.createElement("span");
      name.textContent = person.name;
      const email = document.createElement("small");
      email.textContent = person.email;
      option.append(name, email);
      option.addEventListener("mousedown", (event) => { event.preventDefault(); take(person); });
      return option;
    }),
  );
  list.people = fits;
  mark(0);
}

function open(box) {
  close();
  const element = document.createElement("ul");
  element.id = "mention-list";
  element.className = "tp-mention-list";
  element.setAttribute("role", "listbox");
  element.setAttribute("aria-label", "Members");
  box.after(element);
  list = { box, element, people: [], at: 0, typed: "" };
  for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-expanded", "true"], ["aria-controls", "mention-list"]]) box.setAttribute(name, value);
}

function close() {
  if (!list) return;
  for (const name of ["role", "aria-autocomplete", "aria-expanded", "aria-controls", "aria-activedescendant"]) list.box.removeAttribute(name);
  list.element.remove();
  list = null;
}

function mark(index) {
  const options = [...list.element.children];
  list.at = (index + options.length) % options.length;
  options.forEach((option, place) => option.setAttribute("aria-selected", String(place === list.at)));
  options[list.at].scrollIntoView({ block: "nearest" });
  list.box.setAttribute("aria-activedescendant", options[list.at].id);
}

function take(person) {
  const { box, typed } = list;
  const end = box.selectionStart;
  close();
  box.setRangeText(`${person.insert} `, end - typed.length, end, "end");
  box.dispatchEvent(new Event("input", { bubbles: true }));
  close();
}

document.addEventListener("input", (event) => {
  if (event.target.matches?.("textarea[data-mentions]")) suggest(event.target);
});
document.addEventListener("focusout", (event) => { if (list?.box === event.target) close(); });
document.addEventListener("keydown", (event) => {
  if (!list || event.target !== list.box || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "ArrowDown") mark(list.at + 1);
  else if (event.key === "ArrowUp") mark(list.at - 1);
  else if (event.key === "Enter" || event.key === "Tab") take(list.people[list.at]);
  else if (event.key === "Escape") close();
  else return;
  event.preventDefault();
  event.stopPropagation();
}, true);

// --- number keys: the first nine choices of <select data-number-keys>, shown below it ---
function hints(select) {
  if (select.dataset.hinted) return;
  select.dataset.hinted = "yes";
  const options = [...select.options].filter((option) => option.value).slice(0, 9);
  if (!options.length) return;
  const row = document.createElement("div");
  row.className = "tp-number-keys";
  row.setAttribute("role", "group");
  row.setAttribute("aria-label", "Choose by number key");
  options.forEach((option, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-sm";
    button.dataset.value = option.value;
    button.setAttribute("aria-keyshortcuts", `${index + 1} Alt+${index + 1}`);
    const key = document.createElement("kbd");
    key.textContent = String(index + 1);
    button.append(key, ` ${option.textContent.trim()}`);
    button.addEventListener("click", () => choose(select, option.value));
    row.append(button);
  });
  const note = document.createElement("span");
  note.className = "tp-hint";
  note.textContent = "Number keys; with Alt while you type.";
  row.append(note);
  (select.tomselect?.wrapper || select).after(row);
  select.addEventListener("input", () => show(select));
  select.addEventListener("change", () => show(select));
  show(select);
}

function chosen(select) {
  return [...select.selectedOptions].map((option) => option.value);
}

function show(select) {
  const values = chosen(select);
  for (const button of select.closest("form").querySelectorAll(".tp-number-keys button")) button.setAttribute("aria-pressed", String(values.includes(button.dataset.value)));
}

function choose(select, value) {
  const values = chosen(select);
  const on = !values.includes(value);
  if (select.tomselect) {
    if (select.multiple) select.tomselect.setValue(on ? [...values, value] : values.filter((one) => one !== value));
    else select.tomselect.setValue(on ? value : "");
    return;
  }
  if (select.multiple) for (const option of select.options) { if (option.value === value) option.selected = on; }
  else select.value = on ? value : "";
  select.dispatchEvent(new Event("input", { bubbles: true }));
  select.dispatchEvent(new Event("change", { bubbles: true }));
}

const text = (element) => element.matches?.("textarea, input:not([type=checkbox]):not([type=radio]):not([type=button]):not([type=submit]), [contenteditable=true]");
document.addEventListener("keydown", (event) => {
  const digit = /^Digit([1-9])$/.exec(event.code)?.[1] || (/^[1-9]$/.test(event.key) ? event.key : "");
  if (!digit || event.ctrlKey || event.metaKey || event.shiftKey || document.querySelector("dialog[open]")) return;
  // Without Alt a digit belongs to whoever takes text; a search box of choices that is empty does not need it.
  const target = event.target;
  const emptyChoice = target.closest?.(".ts-wrapper") && !target.value;
  if (!event.altKey && text(target) && !emptyChoice) return;
  const form = target.closest?.("form[data-activity-form]") || document.querySelector("form[data-activity-form]");
  const button = form?.querySelectorAll(".tp-number-keys button")[Number(digit) - 1];
  if (!button) return;
  event.preventDefault();
  event.stopPropagation();
  button.click();
}, true);

function each(root) {
  root.querySelectorAll?.("textarea[data-grow]").forEach(grow);
  // After select.js made its boxes.
  setTimeout(() => root.querySelectorAll?.("select[data-number-keys]").forEach(hints));
}
document.addEventListener("htmx:load", (event) => each(event.detail.elt));
each(document);
