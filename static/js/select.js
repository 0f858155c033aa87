// <select data-enhance> becomes a searchable one.
//   data-remote-url="…"    search on the server: GET ?q= answers {"results": [{"value", "text"}]}
//   data-placeholder="…"   shown while nothing is chosen
//   data-create            let people type a new value
// Options may carry data-color="green": a dot before the text; data-later: they come after others that match; data-also: other
//   words that they are found by, shown beside them while one types. A select that became searchable says "enhanced".
function enhance(select) {
  if (select.tomselect || !window.TomSelect) return;
  const url = select.dataset.remoteUrl;
  const several = select.multiple;
  const draw = (kind) => (data, escape) => {
    const color = data.color ? `<span class="tp-dot tp-color-${escape(data.color)}"></span>` : "";
    const also = data.also && kind === "option" ? ` <span class="tp-also">${escape(data.also)}</span>` : "";
    return `<div class="${kind}">${color}${escape(data.text)}${also}</div>`;
  };
  const box = new window.TomSelect(select, {
    plugins: several ? { remove_button: { title: "Remove" } } : select.required ? {} : { clear_button: { title: "Clear" } },
    placeholder: select.dataset.placeholder || undefined,
    create: "create" in select.dataset,
    maxOptions: 500,
    refreshThrottle: 0, // Enter takes what was typed, not what the list showed before
    allowEmptyOption: false,
    closeAfterSelect: !several,
    clearAfterSelect: true,
    hideSelected: several,
    valueField: "value",
    labelField: "text",
    searchField: [{ field: "text", weight: 1 }, { field: "also", weight: 0.5 }],
    score(search) {
      const plain = this.getScoreFunction(search);
      return (option) => plain(option) * ("later" in option ? 0.1 : 1);
    },
    render: {
      option: draw("option"),
      item: draw("item"),
      no_results: () => '<div class="no-results">Nothing matches.</div>',
    },
    ...(url && { load: remote(url), preload: "focus", shouldLoad: () => true }),
  });
  tie(select, box);
}

function remote(url) {
  return (query, done) => {
    const address = new URL(url, location.href);
    address.searchParams.set("q", query);
    fetch(address, { headers: { Accept: "application/json" }, credentials: "same-origin" })
      .then((response) => (response.ok ? response.json() : { results: [] }))
      .then(({ results }) => done(results))
      .catch(() => done());
  };
}

// The visible box takes over the label, the help and the error of the select.
function tie(select, box) {
  const control = box.control_input;
  const label = select.getAttribute("aria-labelledby");
  if (label) {
    control.setAttribute("aria-labelledby", label);
    box.dropdown_content.setAttribute("aria-labelledby", label);
  } else if (select.getAttribute("aria-label")) {
    control.setAttribute("aria-label", select.getAttribute("aria-label"));
    box.dropdown_content.setAttribute("aria-label", select.getAttribute("aria-label"));
  }
  for (const name of ["aria-describedby", "aria-invalid"]) {
    if (select.hasAttribute(name)) control.setAttribute(name, select.getAttribute(name));
  }
  // A list that opens low on the page is brought into sight.
  box.on("dropdown_open", (list) => list.scrollIntoView({ block: "nearest" }));
  box.on("type", (text) => box.dropdown.classList.toggle("tp-typed", text !== ""));
  // The autosave listens to `input`; Tom Select only says `change`.
  box.on("change", () => select.dispatchEvent(new Event("input", { bubbles: true })));
  select.dispatchEvent(new Event("enhanced", { bubbles: true }));
}

// A list that opens below a mouse at rest does not take what lies there: Enter takes what was typed.
let rest = "";
const place = (event) => `${event.screenX} ${event.screenY}`;
for (const name of ["mousemove", "mousedown", "click"]) document.addEventListener(name, (event) => (rest = place(event)), true);
document.addEventListener("mouseenter", (event) => {
  if (place(event) === rest && event.target.closest?.(".ts-dropdown")) event.stopPropagation();
}, true);

function enhanceAll(root) {
  if (root.matches?.("select[data-enhance]")) enhance(root);
  root.querySelectorAll?.("select[data-enhance]").forEach(enhance);
}

enhanceAll(document);
document.addEventListener("htmx:load", (event) => enhanceAll(event.detail.elt));
document.addEventListener("htmx:beforeCleanupElement", (event) => event.detail.elt.tomselect?.destroy());
