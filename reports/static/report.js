// Draws the figures with plotly in place of their pictures, and lets tables be sorted and filtered.
// Without this script, or without plotly, every page keeps its pictures and tables.
"use strict";

// ---- Figures ---------------------------------------------------------------------------------

function themed(layout) {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const axis = (spec) => ({
    ...spec,
    title: { ...spec.title, font: { size: 12, color: color("--faint") }, standoff: 8 },
    gridcolor: color("--grid"),
    linecolor: color("--faint"),
    showline: true,
    zeroline: false,
    ticks: "",
  });
  return {
    ...layout,
    xaxis: axis(layout.xaxis),
    yaxis: { ...axis(layout.yaxis), showline: layout.yaxis.showgrid },
    shapes: layout.shapes.map((shape) => ({
      ...shape,
      line: { ...shape.line, color: color("--faint") },
    })),
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: color("--ink") },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hoverlabel: {
      align: "left",
      bgcolor: color("--page"),
      bordercolor: color("--faint"),
      font: { color: color("--ink"), size: 12 },
    },
    barmode: "overlay",
    hovermode: "closest",
    showlegend: false,
    height: 290,
    margin: { l: 62, r: 12, t: 10, b: 46 },
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
  };
}

function drawFigure(figure) {
  const plot = figure.querySelector(".plot");
  const spec = JSON.parse(figure.querySelector("script").textContent);
  const picture = plot.querySelector("img");
  const area = document.createElement("div");
  area.setAttribute("role", "img");
  area.setAttribute("aria-label", picture.alt);
  plot.append(area);
  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: false, // dragging zooms, a double click resets
  };
  Plotly.newPlot(area, spec.data, themed(spec.layout), config).then(() => picture.remove());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    Plotly.react(area, spec.data, themed(spec.layout), config);
  });
}

function drawFigures() {
  if (typeof Plotly === "undefined") return;
  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        seen.unobserve(entry.target);
        drawFigure(entry.target);
      }
    },
    { rootMargin: "1200px" },
  );
  for (const figure of document.querySelectorAll(".figure")) seen.observe(figure);
}

// ---- Tables ----------------------------------------------------------------------------------

function compareCells(a, b) {
  const [x, y] = [a, b].map((cell) => cell.dataset.v);
  if (x !== undefined && y !== undefined) return Number(x) - Number(y);
  if (x !== undefined || y !== undefined) return x === undefined ? 1 : -1;
  return a.textContent.localeCompare(b.textContent, "en", { numeric: true });
}

function makeSortable(table) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const isRising = heading.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", isRising ? "ascending" : "descending");
      const rows = [...body.rows];
      rows.sort((a, b) => {
        const [x, y] = [a.cells[column], b.cells[column]];
        // What failed or was not measured stays at the end, whichever way the rest is sorted.
        const [isXOut, isYOut] = [x, y].map((cell) => /failed|missing/.test(cell.className));
        if (isXOut || isYOut) return isXOut - isYOut;
        return isRising ? compareCells(x, y) : compareCells(y, x);
      });
      body.append(...rows);
    });
  });
}

function makeFilterable(region) {
  const table = region.querySelector("table");
  const rows = [...table.tBodies[0].rows];
  const tools = document.createElement("div");
  tools.className = "tools";
  const input = document.createElement("input");
  input.type = "search";
  input.placeholder = "Filter: words, all must match";
  input.setAttribute("aria-label", "Filter the rows");
  const count = document.createElement("output");
  const selects = [];
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const name = heading.textContent;
    if (!["Method", "Problem", "Tableau"].includes(name)) return;
    const values = [...new Set(rows.map((row) => row.cells[column].textContent))];
    if (values.length < 2) return;
    const select = document.createElement("select");
    select.setAttribute("aria-label", name);
    select.append(new Option(`${name}: all`, ""), ...values.map((value) => new Option(value, value)));
    selects.push([column, select]);
  });
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !(
        words.every((word) => text.includes(word)) &&
        selects.every(([column, { value }]) => !value || row.cells[column].textContent === value)
      );
      shown += !row.hidden;
    }
    count.textContent = `${shown} of ${rows.length} rows`;
  };
  for (const control of [input, ...selects.map(([, select]) => select)]) {
    control.addEventListener("input", apply);
  }
  tools.append(...selects.map(([, select]) => select), input, count);
  region.before(tools);
  region.classList.add("tall");
  apply();
}

for (const region of document.querySelectorAll("[data-tools]")) {
  makeFilterable(region);
  makeSortable(region.querySelector("table"));
}
drawFigures();
