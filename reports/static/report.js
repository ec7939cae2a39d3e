// Draws the figures with plotly in place of their pictures, and lets tables be sorted and filtered.
// Without this script, or without plotly, every page keeps its pictures and tables.
"use strict";

// ---- Figures ---------------------------------------------------------------------------------

function themed(layout, isHero) {
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
    height: isHero ? 416 : layout.height,
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
  const isHero = figure.closest(".hero") !== null;
  Plotly.newPlot(area, spec.data, themed(spec.layout, isHero), config).then(() => picture.remove());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    Plotly.react(area, spec.data, themed(spec.layout, isHero), config);
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


// ---- Choosing --------------------------------------------------------------------------------

function units(value, steps, digits = 3) {
  if (value === null || !Number.isFinite(value)) return "-";
  const [unit, size] = steps.find(([, size]) => value >= size * 0.9995) ?? steps.at(-1);
  return `${Number((value / size).toPrecision(digits))} ${unit}`;
}
const BYTES = [["TiB", 2 ** 40], ["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10], ["B", 1]];
const SECONDS = [["s", 1], ["ms", 1e-3], ["µs", 1e-6], ["ns", 1e-9]];

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function mark({ color, path }) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "-6 -6 12 12");
  svg.setAttribute("class", "mark");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
  shape.setAttribute("fill", color);
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}

// A table of rows of cells; a cell is text, or [text, number], or a node.
function makeTable(heads, rows) {
  const cell = (content, first) => {
    const [shown, value] = Array.isArray(content) ? content : [content];
    const made = element(first ? "th" : "td", first ? { scope: "row" } : {}, shown);
    if (value !== undefined && value !== null) made.dataset.v = value;
    return made;
  };
  const head = heads.map((text) => element("th", { scope: "col" }, text));
  const body = rows.map((row) => element("tr", {}, ...row.map((item, k) => cell(item, k === 0))));
  const table = element(
    "table",
    {},
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...body),
  );
  makeSortable(table);
  return table;
}

// Value of a law such as ["N*S", "G"]: the same as `evaluate` of the report's own choose.py.
function evaluate(law, symbols) {
  return law.reduce(
    (sum, term) => sum + term.split("*").reduce((product, name) => product * symbols[name], 1),
    0,
  );
}

function symbols(place, graph, checkpoints) {
  const S = 4 * place.batch * place.width;
  return { N: place.steps, s: place.stages, S, G: graph, W: 4 * place.weights, C: checkpoints };
}

function carryOver(offer, place) {
  const nodes = offer.nodes && place.nodes ? place.nodes / offer.nodes : 1;
  const graph = (offer.graph * nodes * place.batch) / offer.batch;
  const here = evaluate(offer.law, symbols(offer, offer.graph, offer.checkpoints));
  const there = evaluate(offer.law, symbols(place, graph, offer.checkpoints));
  const weights = offer.weights && place.weights ? place.weights / offer.weights : 1;
  const work = Math.max(1, weights * (place.batch / offer.batch));
  const evaluations = (place.steps * place.stages) / (offer.steps * offer.stages);
  return {
    bytes: (offer.bytes * there) / here,
    seconds: offer.seconds === null ? null : offer.seconds * evaluations * work,
  };
}

function distance(a, b) {
  const pairs = ["steps", "stages", "batch", "width", "nodes"].map((key) => [a[key] || 1, b[key] || 1]);
  return pairs.reduce((sum, [x, y]) => sum + Math.abs(Math.log(x / y)), 0);
}

function startChooser() {
  const form = document.getElementById("chooser");
  if (!form) return;
  const { stages, problems, looks, offers: found } = JSON.parse(
    document.getElementById("offers").textContent,
  );
  const offers = found.map((offer) => ({ ...looks[offer.method], ...offer }));
  if (!offers.length) return;
  const field = (name) => form.elements[name];
  const known = Object.keys(problems).filter((key) => offers.some((o) => o.problem === key));
  field("problem").append(...known.map((key) => new Option(problems[key], key)));
  const blocks = (size) => Number(/^(\d+) x /.exec(size)?.[1] ?? 1);
  let likeness = offers[0];

  function takeProblem() {
    const own = offers.filter((o) => o.problem === field("problem").value);
    // The heaviest work stands for a problem, as everywhere in the report.
    likeness = own.reduce((a, b) => (b.bytes > a.bytes ? b : a));
    const widths = likeness.size.replace(/^\d+ x /, "").split(" ")[0].split("-");
    const isPlain = widths.length > 1;
    field("width").value = likeness.width;
    field("hidden").value = isPlain ? widths.slice(1, -1).join("-") : "";
    for (const name of ["width", "hidden"]) field(name).disabled = !isPlain;
    field("batch").value = likeness.batch;
    field("steps").value = likeness.steps;
    field("tableau").replaceChildren(
      ...Object.keys(stages).map((key) => new Option(`${key} (${stages[key]} stages)`, key)),
    );
    field("tableau").value = likeness.tableau;
  }

  function asked() {
    const number = (name) => Math.max(1, Number(field(name).value) || 1);
    const width = number("width");
    const hidden = field("hidden").value.split(/[-, ]+/).map(Number).filter((n) => n > 0);
    const isPlain = !field("hidden").disabled;
    const widths = [width, ...hidden, width];
    const times = blocks(likeness.size);
    return {
      steps: number("steps"),
      stages: stages[field("tableau").value],
      batch: number("batch"),
      width: isPlain ? width : likeness.width,
      nodes: isPlain ? times * widths.reduce((a, b) => a + b, 0) : likeness.nodes,
      weights: isPlain
        ? times * widths.slice(1).reduce((sum, n, k) => sum + n * widths[k], 0)
        : likeness.weights,
    };
  }

  function advise() {
    const place = asked();
    const budget = Number(field("budget").value) * Number(field("unit").value);
    const nearest = new Map();
    for (const offer of offers.filter((o) => o.problem === field("problem").value)) {
      const far = distance(offer, place);
      const before = nearest.get(offer.method);
      if (!before || far < before.far) nearest.set(offer.method, { offer, far });
    }
    const rows = [...nearest.values()].map(({ offer, far }) => ({
      offer,
      far,
      ...carryOver(offer, place),
    }));
    for (const row of rows) row.fits = row.bytes <= budget;
    rows.sort((a, b) => b.fits - a.fits || (a.seconds ?? Infinity) - (b.seconds ?? Infinity));
    const best = rows.find((row) => row.fits && row.offer.exact);
    const advice = document.getElementById("advice");
    if (best) {
      const code = best.offer.code ? element("code", {}, best.offer.code) : "";
      const text = `: the fastest exact method within ${units(budget, BYTES)}, about ${units(best.bytes, BYTES)} and ${units(best.seconds, SECONDS)} a gradient. `;
      advice.replaceChildren(mark(best.offer.style), element("strong", {}, best.offer.method), text, code);
    } else {
      const least = Math.min(...rows.filter((row) => row.offer.exact).map((row) => row.bytes));
      const text = `No exact method fits ${units(budget, BYTES)}: the least takes about ${units(least, BYTES)}. Fewer checkpoints, a smaller batch, or `;
      advice.replaceChildren(text, element("code", {}, 'symadj.odeint(f, y0, t, offload="disk")'), ".");
    }
    const table = makeTable(
      ["Method", "Fits", "Peak memory", "Time of a gradient", "Gradient", "How it is known", "Write"],
      rows.map((row) => {
        const name = element("span", {}, mark(row.offer.style), row.offer.method);
        return [
          name,
          row.fits ? "yes" : "no",
          [units(row.bytes, BYTES), row.bytes],
          [units(row.seconds, SECONDS), row.seconds],
          row.offer.exact ? "exact" : "not known to be exact",
          row.far < 1e-9 ? "measured" : `carried over from ${row.offer.tableau}, ${row.offer.steps} steps, ${row.offer.size}`,
          row.offer.code ? element("code", {}, row.offer.code) : "-",
        ];
      }),
    );
    [...table.tBodies[0].rows].forEach((line, k) => line.classList.toggle("unfit", !rows[k].fits));
    document.getElementById("choices").replaceChildren(table);
    const basis = rows.every((row) => row.far < 1e-9)
      ? "All measured, at exactly this size."
      : "Carried over by the memory laws below from the nearest configuration measured; times are rough.";
    document.getElementById("basis").textContent = basis;
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (event.target.name === "device") {
      location.href = event.target.value;
      return;
    }
    if (event.target.name === "problem") takeProblem();
    advise();
  });
  takeProblem();
  advise();
  for (const id of ["chooser", "advice", "choices", "basis"]) document.getElementById(id).hidden = false;
}

// ---- Comparing -------------------------------------------------------------------------------

const runs = new Map();
const waiting = new Map();

// Called by the files in runs/: a page that was opened from disk can load scripts, but not data.
function reportRun(number, data) {
  waiting.get(number)?.(data);
}

function loadRun(number) {
  if (!runs.has(number)) {
    const loaded = new Promise((resolve, reject) => {
      const own = document.querySelector("script[src$='report.js']").getAttribute("src");
      const script = element("script", { src: own.replace("report.js", `runs/${number}.js`) });
      waiting.set(number, resolve);
      script.addEventListener("error", () => reject(new Error(`runs/${number}.js`)));
      document.head.append(script);
    });
    runs.set(number, loaded);
  }
  return runs.get(number);
}

function startComparer() {
  const form = document.getElementById("comparer");
  if (!form) return;
  const field = (name, side) => form.elements[`${name}-${side}`];
  const note = document.getElementById("compared");
  const [PROBLEM, METHOD, TABLEAU, SIZE, STEPS, KEPT] = [0, 1, 2, 3, 4, 5];

  function offer(select, values, wanted, names = {}) {
    const kept = values.includes(select.value) ? select.value : wanted(values);
    select.replaceChildren(...values.map((value) => new Option(names[value] ?? value, value)));
    select.value = kept;
  }

  function rowsOf(data, method, tableau) {
    const found = new Map();
    data.cases.forEach((fields, k) => {
      if (fields[METHOD] !== method || (tableau !== "each" && fields[TABLEAU] !== tableau)) return;
      const key = [fields[PROBLEM], fields[SIZE], fields[KEPT]];
      if (tableau === "each") key.push(fields[TABLEAU], fields[STEPS]);
      found.set(JSON.stringify(key), {
        fields,
        failed: data.failed.includes(k),
        values: Object.fromEntries(data.meters.map((meter, m) => [meter, data.values[k][m]])),
      });
    });
    return found;
  }

  async function compare() {
    const [a, b] = await Promise.all(["a", "b"].map((side) => loadRun(Number(field("run", side).value))));
    for (const [side, data] of [["a", a], ["b", b]]) {
      const distinct = (column) => [...new Set(data.cases.map((fields) => fields[column]))].sort();
      offer(field("method", side), distinct(METHOD), (values) =>
        ["symadj", "torchdiffeq-backprop"].find((name) => values.includes(name) && (side === "b" || name !== "symadj")) ?? values[0],
        data.names,
      );
      offer(field("tableau", side), ["each", ...distinct(TABLEAU)], () => "each");
    }
    const pick = (side, data) => rowsOf(data, field("method", side).value, field("tableau", side).value);
    const isOne = ["a", "b"].some((side) => field("tableau", side).value !== "each");
    // With one tableau picked, the other side is one too, or nothing would be alike.
    if (isOne) for (const side of ["a", "b"]) if (field("tableau", side).value === "each") field("tableau", side).value = field("tableau", side === "a" ? "b" : "a").value;
    const [left, right] = [pick("a", a), pick("b", b)];
    const memory = (row) => row.values.peak_gpu_bytes ?? row.values.peak_cpu_bytes ?? null;
    const total = (row) => (row.values.nfe_forward ?? NaN) + (row.values.nfe_backward ?? NaN);
    const columns = [
      ["Time", (row) => row.values.wall_seconds ?? null, (v) => units(v, SECONDS)],
      ["Time / backprop's", (row) => row.values.wall_ratio ?? null, (v) => `${Number(v.toPrecision(3))}×`],
      ["Peak memory", memory, (v) => units(v, BYTES)],
      ["NFE", total, (v) => String(v)],
      ["Error, true gradient", (row) => row.values.relative_gradient_error ?? null, (v) => v.toExponential(1)],
    ];
    const rows = [];
    for (const [key, one] of left) {
      const other = right.get(key);
      if (!other) continue;
      const [problem, , tableau, size, steps, kept] = one.fields;
      const cells = columns.map(([, read, text]) => {
        const [x, y] = [read(one), read(other)];
        if (!Number.isFinite(x) || !Number.isFinite(y) || x === null || y === null || x === 0)
          return one.failed || other.failed ? "failed" : "-";
        return [`${(y / x).toPrecision(3)}× (${text(x)} → ${text(y)})`, y / x];
      });
      const what = isOne ? `${size}, ${kept}` : `${tableau}, ${steps} steps, ${size}, ${kept}`;
      rows.push([a.names[problem], what, ...cells]);
    }
    const table = makeTable(["Problem", "Configuration", ...columns.map(([name]) => name)], rows);
    const place = document.getElementById("comparison");
    place.replaceChildren(table);
    place.hidden = !rows.length;
    note.hidden = false;
    note.textContent = rows.length
      ? `${rows.length} cases in common; second over first. Seconds of two runs or machines were not measured in turns: judge by the ratio to backprop.`
      : "These two have no case in common.";
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => compare().catch((error) => {
    note.hidden = false;
    note.textContent = `Could not be loaded: ${error.message}`;
  }));
  form.hidden = false;
  compare().catch(() => { form.hidden = true; });
}

for (const region of document.querySelectorAll("[data-tools]")) {
  makeFilterable(region);
  makeSortable(region.querySelector("table"));
}
startChooser();
startComparer();
drawFigures();
