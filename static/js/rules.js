// A form marked data-rules asks the server which fields their rules hide, whenever a field changes that decides (data-decides).
// Nothing is drawn anew: the focus and what was typed stay, also in a field that is hidden for a while.
const timers = new WeakMap();
const asked = new WeakMap();

function ask(form) {
  const number = (asked.get(form) || 0) + 1;
  asked.set(form, number);
  const body = new FormData(form);
  body.delete("csrfmiddlewaretoken");
  fetch(form.dataset.rules, {
    method: "POST", body, credentials: "same-origin", redirect: "manual",
    headers: { Accept: "application/json", ...window.touchpointKept.headers() },
  })
    .then((response) => (response.ok ? response.json() : null))
    .then((answer) => { if (answer && asked.get(form) === number) apply(form, answer); })
    .catch(() => { /* what cannot be asked stays as it is; publishing asks again */ });
}

function apply(form, { shown, hidden }) {
  for (const [names, out] of [[shown, false], [hidden, true]]) {
    for (const name of names) {
      const control = form.elements[name];
      (control?.length && !control.options ? control[0] : control)?.closest(".tp-field")?.classList.toggle("tp-ruled-out", out);
    }
  }
  // A heading goes with the last field of its section.
  for (const heading of form.querySelectorAll("[data-section]")) {
    let empty = true;
    for (let next = heading.nextElementSibling; next && !/^H[2-4]$/.test(next.tagName); next = next.nextElementSibling) {
      if (!next.classList.contains("tp-ruled-out")) empty = false;
    }
    heading.classList.toggle("tp-ruled-out", empty);
  }
}

function changed(event) {
  const form = event.target.closest?.("form[data-rules]");
  if (!form || !event.target.matches("[data-decides]")) return;
  clearTimeout(timers.get(form));
  timers.set(form, setTimeout(() => ask(form), event.type === "change" ? 0 : 300));
}
document.addEventListener("input", changed);
document.addEventListener("change", changed);
