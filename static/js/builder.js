// The search builder with a keyboard: pickers that search, fields used lately on top, Ctrl+Enter to add the next condition.
// With a mouse: lists of values say on top whether any or none of them is meant.
// Runs before select.js, which makes the selects searchable.

// <span data-pick="url">: text boxes for names where no script runs; here a list that searches on the server.
function picker(span) {
  const { pick, picked, name, id, label, wrong } = span.dataset;
  const select = document.createElement("select");
  Object.assign(select, { multiple: true, name, id, className: "form-select tp-grow" });
  Object.assign(select.dataset, { enhance: "", remoteUrl: pick, placeholder: "Search …" });
  if ("new" in span.dataset) select.dataset.focus = "";
  select.setAttribute("aria-label", label);
  select.setAttribute("aria-describedby", wrong);
  if (span.querySelector("[aria-invalid]")) select.setAttribute("aria-invalid", "true");
  for (const [value, text] of JSON.parse(picked)) select.append(new Option(text, value, true, true));
  span.replaceWith(select);
}

// Fields used lately, remembered in this browser, by list. What is used now comes up with the next page: while one works, every
// entry keeps its place.
const LATELY = 5;
const LONG = 30; // a shorter list is seen at a glance; inside a block, entries stay in their places
const memory = (select) => `touchpoint-lately:${select.getAttribute("hx-get")}`;
function lately(select) {
  try {
    return JSON.parse(localStorage.getItem(memory(select))) || [];
  } catch {
    return [];
  }
}
const before = new Map();
function usedBefore(select) {
  const list = memory(select);
  if (!before.has(list)) before.set(list, lately(select));
  return before.get(list);
}
function remember(select) {
  const chosen = select.value.replace(/^lately:/, "");
  const used = [chosen, ...lately(select).filter((value) => value !== chosen)].slice(0, 40);
  try {
    localStorage.setItem(memory(select), JSON.stringify(used));
  } catch {
    // Without storage nothing is remembered.
  }
}
function offer(select) {
  const known = new Map([...select.options].map((option) => [option.value, option]));
  const used = usedBefore(select).filter((value) => value && known.has(value)).slice(0, LATELY);
  if (!used.length || known.size < LONG || select.closest(".tp-rule-block")) return;
  const group = document.createElement("optgroup");
  group.label = "Lately used";
  // Values of their own: as two of one value they would pull their other group up.
  group.append(...used.map((value) => new Option(known.get(value).text, `lately:${value}`)));
  for (const option of group.children) Object.assign(option.dataset, known.get(option.value.replace("lately:", "")).dataset);
  select.querySelector("optgroup")?.before(group);
}

function prepare(root) {
  root.querySelectorAll?.("[data-pick]").forEach(picker);
  root.querySelectorAll?.(".tp-rule-add > select:not(.tomselected)").forEach(offer);
}
prepare(document);
document.addEventListener("htmx:load", (event) => prepare(event.detail.elt));
document.addEventListener("change", (event) => {
  if (event.target.matches(".tp-rule-add > select") && event.target.value) remember(event.target);
}, true);

// On top of a list of values: any or none of them. It is the operator beside the list, within reach while one chooses.
document.addEventListener("enhanced", ({ target }) => {
  const operators = target.multiple && target.closest(".tp-rule > .tp-condition")?.querySelector('select[name$="-o"]');
  const either = operators ? [...operators.options].filter((one) => /^(not-)?named$|^any$|^none$/.test(one.value)) : [];
  if (either.length !== 2) return;
  const bar = document.createElement("div");
  bar.className = "tp-either";
  for (const one of either) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: one.text, tabIndex: -1 });
    button.setAttribute("aria-pressed", String(one.selected));
    button.addEventListener("click", () => {
      operators.value = one.value;
      for (const other of bar.children) other.setAttribute("aria-pressed", String(other === button));
      target.form.dispatchEvent(new Event("change"));
    });
    bar.append(button);
  }
  bar.addEventListener("mousedown", (event) => event.preventDefault()); // the list stays open
  target.tomselect.dropdown.prepend(bar);
});

// A new condition's first value is a guess: typing replaces it.
document.addEventListener("htmx:afterSettle", () => {
  const box = document.activeElement;
  if (box?.matches(".tp-rule input[data-focus]")) box.select();
});

// Ctrl+Enter goes to the list that adds to the group one is in; again, to the one around it.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  const adding = event.target.closest(".tp-rule-add");
  const from = adding ? adding.closest(".tp-rule-block, .tp-rule-group, .tp-builder")?.parentElement : event.target;
  const around = from?.closest(".tp-rule-block, .tp-rule-group, .tp-builder");
  const next = around?.querySelector(":scope > .tp-rule-add > select, :scope > .tp-group > .tp-rule-add > select");
  if (!next) return;
  event.preventDefault();
  event.stopPropagation();
  (next.tomselect ?? next).focus();
}, true);
