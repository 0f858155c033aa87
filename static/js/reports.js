// Reports: a tile that failed offers to try again, widths change in place, and a chosen range clears the dates.
document.addEventListener("change", (event) => {
  const select = event.target.closest("[data-clears]");
  if (select) for (const field of document.querySelectorAll(select.dataset.clears)) field.value = "";
});

// --- a tile that could not be loaded ---
function failed(event) {
  const body = event.target.closest?.("[data-tile-body]");
  const notice = body?.parentElement.querySelector("[data-tile-failed]");
  if (!notice) return;
  body.hidden = true;
  notice.hidden = false;
}
for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) document.addEventListener(name, failed);
document.addEventListener("click", (event) => {
  const retry = event.target.closest("[data-tile-retry]");
  if (!retry) return;
  const notice = retry.closest("[data-tile-failed]");
  const body = notice.parentElement.querySelector("[data-tile-body]");
  notice.hidden = true;
  body.hidden = false;
  window.htmx.trigger(body, "retry");
});

// --- the width of a tile ---
document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-tile-width]");
  if (!form) return;
  event.preventDefault();
  const tile = form.closest(".tp-tile");
  const { value, dataset } = event.submitter;
  for (const button of form.querySelectorAll("[data-width]")) {
    tile.classList.toggle(`tp-tile-${button.dataset.width}`, button === event.submitter);
    button.setAttribute("aria-pressed", String(button === event.submitter));
  }
  tile.dataset.width = dataset.width;
  window.htmx.ajax("POST", form.action, { source: form, swap: "none", values: { width: value } });
});

// --- a menu of checkboxes closes when something else is clicked, or with Escape ---
document.addEventListener("click", (event) => {
  for (const open of document.querySelectorAll("details[data-closes-outside][open]")) {
    if (!open.contains(event.target)) open.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  const open = event.key === "Escape" && event.target.closest?.("details[data-closes-outside][open]");
  if (!open) return;
  open.open = false;
  open.querySelector("summary").focus();
});
