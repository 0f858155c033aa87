// Forms that stand where a value stood (data-in-place): Escape cancels, Ctrl/Cmd+Enter saves, the first input has the focus.
document.addEventListener("keydown", (event) => {
  const form = event.target.closest?.("form[data-in-place]");
  if (!form || event.defaultPrevented) return;
  if (event.key === "Escape" && !form.querySelector(".ts-wrapper.dropdown-active")) {
    event.preventDefault();
    form.querySelector("[data-cancel]")?.click();
  } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    form.requestSubmit();
  }
});

// The wrong input first, else the first one. Searchable selects take the focus by the box that replaces them.
document.addEventListener("htmx:afterSettle", (event) => {
  const root = event.detail.elt;
  const form = root.matches?.("form[data-in-place]") ? root : root.querySelector?.("form[data-in-place]");
  if (!form || form.querySelector("[data-focus], [autofocus]")) return;
  const input = form.querySelector('[aria-invalid="true"]') || form.querySelector("input:not([type=hidden]), select, textarea");
  if (!input) return;
  if (input.tomselect) input.tomselect.focus();
  else {
    input.focus();
    if (input.select && input.type !== "checkbox") input.select();
  }
});
