// The command palette: `/` or Ctrl/Cmd+K. htmx brings the rows; this moves among them.
const palette = document.querySelector("#palette");
const input = document.querySelector("#palette-input");
const results = document.querySelector("#palette-results");
let cameFrom = null;

function open(text = "") {
  if (palette.open) return;
  cameFrom = document.activeElement;
  input.value = text;
  palette.showModal();
  input.focus();
  window.htmx.trigger(input, "palette-open");
}

const rows = () => [...results.querySelectorAll('[role="option"]')];
const current = () => results.querySelector('[aria-selected="true"]');
function choose(row) {
  current()?.setAttribute("aria-selected", "false");
  if (!row) return input.removeAttribute("aria-activedescendant");
  row.id ||= `palette-row-${rows().indexOf(row)}`;
  row.tabIndex = -1;
  row.setAttribute("aria-selected", "true");
  input.setAttribute("aria-activedescendant", row.id);
  row.scrollIntoView({ block: "nearest" });
}

// Rows answer what was typed when they were asked for: Enter before they are there waits for them.
let asked = null;
let waiting = false;

if (palette) {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable=true]");
    const command = (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k";
    const slash = event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !document.querySelector("dialog[open]");
    if (!command && !slash) return;
    event.preventDefault();
    open();
  });

  // The box in the top bar works as a plain search form; with us it opens the palette, taking what is typed along.
  for (const form of document.querySelectorAll("[data-palette-open]")) {
    const box = form.querySelector("input");
    box.addEventListener("click", () => open(box.value));
    box.addEventListener("beforeinput", (event) => {
      if (!event.data) return;
      event.preventDefault();
      open(box.value + event.data);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      open(box.value);
    });
  }

  input.addEventListener("keydown", (event) => {
    const list = rows();
    const at = list.indexOf(current());
    const steps = { ArrowDown: at + 1, ArrowUp: at < 0 ? -1 : at - 1, PageDown: at + 8, PageUp: at - 8 };
    if (event.key in steps && list.length) {
      event.preventDefault();
      const step = steps[event.key];
      const paged = event.key.startsWith("Page") ? Math.min(Math.max(step, 0), list.length - 1) : (step + list.length) % list.length;
      choose(list[paged]);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (asked !== input.value) waiting = true;
      else (current() || list[0])?.click();
    } else if (event.key === "Escape") {
      event.preventDefault();
      palette.close();
    }
  });
  results.addEventListener("mousemove", (event) => {
    const row = event.target.closest('[role="option"]');
    if (row && row !== current()) choose(row);
  });
  input.addEventListener("htmx:beforeRequest", () => (asked = null));
  input.addEventListener("htmx:configRequest", (event) => (event.detail.elt.dataset.asking = input.value));
  input.addEventListener("input", () => (waiting = false));
  results.addEventListener("htmx:afterSettle", () => {
    asked = input.dataset.asking;
    choose(rows()[0]);
    if (waiting && asked === input.value) {
      waiting = false;
      rows()[0]?.click();
    }
  });
  results.addEventListener("click", (event) => {
    if (event.target.closest('[role="option"]')) palette.close();
  });
  palette.addEventListener("click", (event) => {
    if (event.target === palette) palette.close();
  });
  palette.addEventListener("close", () => cameFrom?.isConnected && cameFrom.focus());
}
