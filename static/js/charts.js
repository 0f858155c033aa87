// Draws each <canvas data-chart data-table="#id"> from the table it names: the first column holds the labels, every
// other column is a series with its heading as name. A cell's number is its data-value, else its text.
//   data-kind     line (default), bar, stacked, row (horizontal bars), doughnut, sparkline
//   data-colors   names of colours, comma separated; else a palette safe for colour-blind readers
//   data-max      the top of the scale, to compare charts side by side
// <button data-chart-toggle="#wrap"> shows the table instead; <button data-chart-png="#canvas"> downloads a picture.
const PALETTE = ["blue", "orange", "teal", "pink", "yellow", "azure", "purple", "lime"];
const drawn = new Map();

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Reads a named colour through a probe, so that any CSS colour space comes out as the browser's own notation.
function color(name, share = 1) {
  const hue = style(`--tp-hue-${name}`) || style("--tp-hue-gray");
  if (share === 1) return hue;
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hue.slice(at, at + 2), 16));
  return `rgba(${red}, ${green}, ${blue}, ${share})`;
}

function number(cell) {
  const text = (cell?.dataset.value ?? cell?.textContent ?? "").trim();
  if (text === "" || text === "–" || text === "—") return null;
  const value = Number(text.replace(/[,\s\u202f\u00a0%]/g, ""));
  return Number.isFinite(value) ? value : null;
}

function read(table) {
  const names = [...table.tHead.rows[table.tHead.rows.length - 1].cells].slice(1).map((cell) => cell.textContent.trim());
  const rows = [...table.tBodies[0].rows];
  return {
    labels: rows.map((row) => row.cells[0].dataset.label || row.cells[0].textContent.trim()),
    links: rows.map((row) => [...row.cells].slice(1).map((cell) => cell.querySelector("a")?.href)),
    series: names.map((name, column) => ({ name, values: rows.map((row) => number(row.cells[column + 1])) })),
  };
}

function dataset(kind, { name, values }, at, names) {
  const hue = names[at % names.length];
  if (kind === "doughnut") {
    const hues = values.map((_, slice) => color(names[slice % names.length]));
    return { label: name, data: values, backgroundColor: hues, borderColor: style("--tblr-bg-surface"), borderWidth: 2 };
  }
  if (["bar", "stacked", "row"].includes(kind)) {
    return {
      label: name, data: values, backgroundColor: color(hue), hoverBackgroundColor: color(hue, 0.8),
      borderRadius: 3, borderSkipped: kind === "stacked" ? false : "start", maxBarThickness: 44, categoryPercentage: 0.72, barPercentage: 0.9,
      ...(kind === "stacked" && { borderColor: style("--tblr-bg-surface"), borderWidth: { top: 1 }, borderRadius: 2 }),
    };
  }
  const spark = kind === "sparkline";
  return {
    label: name, data: values, borderColor: color(hue), backgroundColor: color(hue, spark ? 0.14 : 0.1),
    pointBackgroundColor: color(hue), borderWidth: 2, tension: 0.25, fill: spark ? "origin" : false, pointRadius: spark ? 0 : 2.5,
    pointHoverRadius: 5, spanGaps: true, pointStyle: ["circle", "rect", "triangle", "rectRot"][at % 4],
  };
}

function options(canvas, kind, data) {
  const ink = style("--tblr-secondary");
  const line = style("--tp-grid-line");
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const spark = kind === "sparkline";
  const stacked = kind === "stacked";
  const ticks = { color: ink, font: { size: 11 }, maxRotation: 0, autoSkipPadding: 12 };
  const values = {
    beginAtZero: true, stacked, border: { display: false }, grid: { color: line, drawTicks: false }, max: Number(canvas.dataset.max) || undefined,
    ticks: { ...ticks, padding: 8, maxTicksLimit: 6, ...(data.series.every(({ values: list }) => list.every((value) => Number.isInteger(value ?? 0))) && { precision: 0 }) },
  };
  const labels = { stacked, border: { color: line }, grid: { display: false }, ticks };
  const scales = kind === "row" ? { x: values, y: labels } : { x: labels, y: values };
  const hidden = { display: false };
  return {
    responsive: true,
    maintainAspectRatio: false,
    animation: still ? false : { duration: 180 },
    indexAxis: kind === "row" ? "y" : "x",
    interaction: { mode: kind === "doughnut" ? "nearest" : "index", intersect: kind === "doughnut" },
    layout: { padding: { sparkline: { top: 2 }, doughnut: 12 }[kind] ?? 0 },
    cutout: "66%",
    scales: kind === "doughnut" ? {} : spark ? { x: hidden, y: { ...hidden, beginAtZero: true } } : scales,
    plugins: {
      legend: {
        display: !spark && (kind === "doughnut" || data.series.length > 1),
        position: kind === "doughnut" ? "right" : "top",
        align: kind === "doughnut" ? "center" : "end",
        labels: { color: ink, font: { size: 12 }, usePointStyle: true, boxWidth: 8, boxHeight: 8, padding: 12 },
      },
      tooltip: {
        backgroundColor: style("--tp-tip-bg"), titleColor: style("--tp-tip-ink"), bodyColor: style("--tp-tip-ink"),
        padding: 8, cornerRadius: 6, boxPadding: 4, usePointStyle: true, displayColors: !spark,
      },
    },
    onClick: (_event, hits) => {
      const link = hits[0] && data.links[hits[0].index]?.[hits[0].datasetIndex];
      if (link) location.assign(link);
    },
    onHover: (event, hits) => {
      const linked = hits[0] && data.links[hits[0].index]?.[hits[0].datasetIndex];
      event.native.target.style.cursor = linked ? "pointer" : "";
    },
  };
}

function draw(canvas) {
  const table = document.querySelector(canvas.dataset.table);
  if (!table || !window.Chart) return;
  drawn.get(canvas)?.destroy();
  const kind = canvas.dataset.kind || "line";
  const data = read(table);
  const names = (canvas.dataset.colors || "").split(",").map((name) => name.trim()).filter(Boolean);
  const palette = [...names, ...PALETTE.filter((name) => !names.includes(name))];
  canvas.setAttribute("role", "img");
  if (!canvas.getAttribute("aria-label")) canvas.setAttribute("aria-label", `Chart. ${table.caption?.textContent.trim() || "The numbers are in the table."}`);
  window.Chart.defaults.font.family = style("--tblr-font-sans-serif");
  drawn.set(
    canvas,
    new window.Chart(canvas, {
      type: { doughnut: "doughnut", bar: "bar", stacked: "bar", row: "bar" }[kind] || "line",
      data: { labels: data.labels, datasets: data.series.map((series, at) => dataset(kind, series, at, palette)) },
      options: options(canvas, kind, data),
    }),
  );
}

function drawAll(root) {
  if (root.matches?.("canvas[data-chart]")) draw(root);
  root.querySelectorAll?.("canvas[data-chart]").forEach(draw);
}

document.addEventListener("click", (event) => {
  const toggle = event.target.closest("[data-chart-toggle]");
  if (toggle) {
    const wrap = document.querySelector(toggle.dataset.chartToggle);
    const shown = wrap.classList.toggle("tp-shows-table");
    toggle.setAttribute("aria-pressed", String(shown));
  }
  const save = event.target.closest("[data-chart-png]");
  const canvas = save && document.querySelector(save.dataset.chartPng);
  if (canvas) download(canvas, save.dataset.filename || "chart.png");
});

// The picture gets the surface behind it: a transparent one is unreadable on a page of the other theme.
function download(canvas, filename) {
  const copy = document.createElement("canvas");
  copy.width = canvas.width;
  copy.height = canvas.height;
  const paper = copy.getContext("2d");
  paper.fillStyle = style("--tblr-bg-surface");
  paper.fillRect(0, 0, copy.width, copy.height);
  paper.drawImage(canvas, 0, 0);
  const link = document.createElement("a");
  link.download = filename;
  link.href = copy.toDataURL("image/png");
  link.click();
}

drawAll(document);
document.addEventListener("htmx:load", (event) => drawAll(event.detail.elt));
document.addEventListener("htmx:beforeCleanupElement", (event) => {
  drawn.get(event.detail.elt)?.destroy();
  drawn.delete(event.detail.elt);
});
document.addEventListener("themechange", () => [...drawn.keys()].forEach(draw));
