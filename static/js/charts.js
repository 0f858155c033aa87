// Draws each <canvas data-chart data-table="#id"> from the table it names: the first column holds the labels, every
// other column is a series with its heading as name. A cell's number is its data-value, else its text.
//   data-kind     line (default), bar, stacked, row (a bar for each series: its total in the table's foot)
//   data-unit     of the numbers: % and s (seconds, drawn as hours or minutes) are written on the scale
//   data-colors   names of colours, comma separated; else a palette safe for colour-blind readers
// <button data-chart-toggle="#wrap"> shows the table instead; <button data-chart-png="#canvas"> downloads a picture.
const PALETTE = ["blue", "orange", "teal", "pink", "yellow", "azure", "purple", "lime"];
const drawn = new Map();

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// A named colour of the theme, as it is now; `share` makes it see-through.
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

// The words of the cells are kept for the tips: a chart and its table say the same.
function read(table, kind) {
  const names = [...table.tHead.rows[table.tHead.rows.length - 1].cells].slice(1).map((cell) => cell.textContent.trim());
  const linked = (cell) => cell?.querySelector("a")?.href;
  const words = (cell) => cell?.textContent.trim() ?? "";
  if (kind === "row" && table.tFoot) {
    const cells = [...table.tFoot.rows[0].cells].slice(1);
    const series = [{ name: "", values: cells.map(number), words: cells.map(words) }];
    return { labels: names.map((name, at) => `${name}  ${series[0].words[at]}`), links: cells.map((cell) => [linked(cell)]), series };
  }
  const rows = [...table.tBodies[0].rows];
  const foot = table.tFoot && [...table.tFoot.rows[0].cells].slice(1).map(words);
  return {
    labels: rows.map((row) => row.cells[0].dataset.label || row.cells[0].textContent.trim()),
    links: rows.map((row) => [...row.cells].slice(1).map(linked)),
    series: names.map((name, column) => ({
      name, total: foot?.[column],
      values: rows.map((row) => number(row.cells[column + 1])), words: rows.map((row) => words(row.cells[column + 1])),
    })),
  };
}

// How numbers of a unit are drawn: divided by `by`, written on the scale by `tick`.
function scaleOf(unit, series) {
  const largest = Math.max(0, ...series.flatMap(({ values }) => values.map((value) => Math.abs(value ?? 0))));
  if (unit === "s") return largest >= 7200 ? { by: 3600, tick: (value) => `${plain(value)} h` } : { by: 60, tick: (value) => `${plain(value)} min` };
  return { by: 1, tick: unit === "%" ? (value) => `${plain(value)}%` : plain };
}

function plain(value) {
  const size = Math.abs(value);
  return value.toLocaleString("en", size >= 10000 ? { notation: "compact" } : size < 1 ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: 2 });
}

function dataset(kind, { name, values }, at, names, { by }) {
  const hue = color(names[at % names.length]);
  const numbers = values.map((value) => (value === null ? null : value / by));
  if (kind === "line") {
    return {
      label: name, data: numbers, borderColor: hue, backgroundColor: color(names[at % names.length], 0.1), pointBackgroundColor: hue,
      borderWidth: 2, borderJoinStyle: "round", fill: names.alone && "origin", pointRadius: values.length > 40 ? 0 : 2.5, pointHoverRadius: 5,
      spanGaps: true, pointStyle: ["circle", "rectRot", "triangle", "rect"][at % 4],
    };
  }
  const stacked = kind === "stacked";
  return {
    label: name, data: numbers, backgroundColor: hue, hoverBackgroundColor: color(names[at % names.length], 0.8), borderRadius: stacked ? 2 : 3,
    borderSkipped: stacked ? false : "start", maxBarThickness: kind === "row" ? 22 : 44, categoryPercentage: 0.72, barPercentage: 0.9,
    ...(stacked && { borderColor: style("--tblr-bg-surface"), borderWidth: { top: 1 } }),
  };
}

function options(kind, data, { by, tick }) {
  const ink = style("--tblr-secondary");
  const line = style("--tp-grid-line");
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const stacked = kind === "stacked";
  const whole = by === 1 && data.series.every(({ values }) => values.every((value) => Number.isInteger(value ?? 0)));
  const ticks = { color: ink, font: { size: 11 }, maxRotation: 0, autoSkipPadding: 12 };
  const values = {
    beginAtZero: true, stacked, border: { display: false }, grid: { color: line, drawTicks: false },
    ticks: { ...ticks, padding: 8, maxTicksLimit: 6, callback: (value) => tick(value), ...(whole && { precision: 0 }) },
  };
  const labels = { stacked, border: { color: line }, grid: { display: false }, ticks: { ...ticks, autoSkip: kind !== "row" } };
  const linkOf = (hit) => hit && data.links[hit.index]?.[hit.datasetIndex];
  // The part under the pointer; beside the parts of a stack, nothing is meant.
  const meant = (event, hits, chart) =>
    chart.getElementsAtEventForMode(event.native ?? event, "nearest", { intersect: true }, false)[0] ?? (data.series.length === 1 ? hits[0] : undefined);
  return {
    responsive: true,
    maintainAspectRatio: false,
    animation: still ? false : { duration: 180 },
    indexAxis: kind === "row" ? "y" : "x",
    interaction: { mode: "index", axis: kind === "row" ? "y" : "x", intersect: false },
    scales: kind === "row" ? { x: values, y: labels } : { x: labels, y: values },
    plugins: {
      legend: {
        display: data.series.length > 1,
        position: "top",
        align: "end",
        labels: {
          color: ink, font: { size: 12 }, usePointStyle: true, boxWidth: 8, boxHeight: kind === "line" ? 6 : 8, padding: 12,
          generateLabels: (chart) => window.Chart.defaults.plugins.legend.labels.generateLabels(chart).map((label) => withTotal(label, kind, data)),
        },
      },
      tooltip: {
        backgroundColor: style("--tp-tip-bg"), titleColor: style("--tp-tip-ink"), bodyColor: style("--tp-tip-ink"),
        padding: 8, cornerRadius: 6, boxPadding: 4, usePointStyle: true, displayColors: kind !== "row",
        filter: ({ datasetIndex, dataIndex }) => !stacked || data.series[datasetIndex].values[dataIndex] !== 0,
        callbacks: {
          label: ({ datasetIndex, dataIndex }) => {
            const { name, words } = data.series[datasetIndex];
            return [name, words[dataIndex]].filter(Boolean).join(": ");
          },
        },
      },
    },
    onClick: (event, hits, chart) => {
      const link = linkOf(meant(event, hits, chart));
      if (link) location.assign(link);
    },
    onHover: (event, hits, chart) => {
      event.native.target.style.cursor = linkOf(meant(event, hits, chart)) ? "pointer" : "";
    },
  };
}

// Lines do not add up to the number of the tile: the legend has the number of each for the whole range.
function withTotal(label, kind, data) {
  const total = kind === "line" && data.series[label.datasetIndex]?.total;
  return total ? { ...label, text: `${label.text}  ${total}` } : label;
}

function draw(canvas) {
  const table = document.querySelector(canvas.dataset.table);
  if (!table || !window.Chart) return;
  drawn.get(canvas)?.destroy();
  const kind = canvas.dataset.kind || "line";
  const data = read(table, kind);
  const scale = scaleOf(canvas.dataset.unit, data.series);
  const names = (canvas.dataset.colors || "").split(",").map((name) => name.trim()).filter(Boolean);
  const palette = [...names, ...PALETTE.filter((name) => !names.includes(name))];
  palette.alone = data.series.length === 1;
  canvas.setAttribute("role", "img");
  if (!canvas.getAttribute("aria-label")) canvas.setAttribute("aria-label", `Chart. ${table.caption?.textContent.trim() || "The numbers are in the table."}`);
  window.Chart.defaults.font.family = style("--tblr-font-sans-serif");
  drawn.set(
    canvas,
    new window.Chart(canvas, {
      type: kind === "line" ? "line" : "bar",
      data: { labels: data.labels, datasets: data.series.map((series, at) => dataset(kind, series, at, palette, scale)) },
      options: options(kind, data, scale),
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
  if (canvas) download(canvas, save.dataset.filename || "chart.png", [save.dataset.title, save.dataset.days]);
});

// The picture gets the surface behind it: a transparent one is unreadable on a page of the other theme. Above the chart it says
// what is counted and when, for on a slide nothing else does.
function download(canvas, filename, lines) {
  const scale = canvas.width / canvas.clientWidth || 1;
  const above = lines.filter(Boolean);
  const [edge, line] = [12 * scale, 18 * scale];
  const copy = document.createElement("canvas");
  copy.width = canvas.width + 2 * edge;
  copy.height = canvas.height + 2 * edge + above.length * line;
  const paper = copy.getContext("2d");
  paper.fillStyle = style("--tblr-bg-surface");
  paper.fillRect(0, 0, copy.width, copy.height);
  paper.textBaseline = "top";
  above.forEach((text, number) => {
    paper.fillStyle = style(number ? "--tblr-secondary" : "--tblr-body-color");
    paper.font = `${number ? 400 : 600} ${(number ? 12 : 13) * scale}px ${getComputedStyle(document.body).fontFamily}`;
    paper.fillText(text, edge, edge + number * line, copy.width - 2 * edge);
  });
  paper.drawImage(canvas, edge, edge + above.length * line);
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
