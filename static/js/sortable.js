// <ol data-sortable data-url="…"> whose items carry data-id. Drag by [data-handle], or press [data-move="up"|"down"].
// Each change posts `order` once per item, in the new order. data-group shares items between lists of that name.
function items(list) {
  return [...list.children].filter((item) => item.dataset.id);
}

function save(list) {
  const order = items(list).map((item) => item.dataset.id);
  markEnds(list);
  list.dispatchEvent(new CustomEvent("sorted", { bubbles: true, detail: { order } }));
  if (list.dataset.url) window.htmx.ajax("POST", list.dataset.url, { source: list, swap: "none", values: { order } });
}

// A button that cannot move its item says so, but keeps the focus it may have.
function markEnds(list) {
  const rows = items(list);
  rows.forEach((item, at) => {
    const ends = { up: at === 0, down: at === rows.length - 1 };
    for (const button of item.querySelectorAll("[data-move]")) {
      button.setAttribute("aria-disabled", String(ends[button.dataset.move]));
    }
  });
}

function move(button) {
  const list = button.closest("[data-sortable]");
  const item = button.closest("[data-id]");
  if (!list || button.getAttribute("aria-disabled") === "true") return;
  const other = button.dataset.move === "up" ? item.previousElementSibling : item.nextElementSibling;
  if (!other?.dataset.id) return;
  if (button.dataset.move === "up") other.before(item);
  else other.after(item);
  button.focus();
  speak(list, item);
  save(list);
}

function speak(list, item) {
  let voice = document.querySelector("#sortable-voice");
  if (!voice) {
    voice = document.createElement("div");
    voice.id = "sortable-voice";
    voice.className = "visually-hidden";
    voice.setAttribute("aria-live", "polite");
    document.body.append(voice);
  }
  const rows = items(list);
  voice.textContent = `${item.dataset.label || "Item"}, now ${rows.indexOf(item) + 1} of ${rows.length}`;
}

function enhance(list) {
  if (list.dataset.sortableReady || !window.Sortable) return;
  list.dataset.sortableReady = "yes";
  markEnds(list);
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  new window.Sortable(list, {
    animation: still ? 0 : 150,
    handle: list.querySelector("[data-handle]") ? "[data-handle]" : undefined,
    draggable: "[data-id]",
    group: list.dataset.group || undefined,
    ghostClass: "tp-ghost",
    onEnd: (event) => {
      save(event.to);
      if (event.from !== event.to) save(event.from);
    },
  });
}

function enhanceAll(root) {
  if (root.matches?.("[data-sortable]")) enhance(root);
  root.querySelectorAll?.("[data-sortable]").forEach(enhance);
}

enhanceAll(document);
document.addEventListener("htmx:load", (event) => enhanceAll(event.detail.elt));
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-move]");
  if (button) move(button);
});
