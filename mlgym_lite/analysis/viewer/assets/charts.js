// Charts as SVG, drawn anew when what they show changes. A point can be clicked: it leads to its step.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 460;
const HEIGHT = 200;
const EDGE = { left: 58, right: 12, top: 10, bottom: 30 };
const MOST_DRAWN = 1500;

const svg = (tag, attributes = {}, ...children) => {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};

const colour = (run) => `c${run % 8}`;

// Round numbers within a range, about `wanted` of them; sizes in bytes are round in their unit.
const ticks = (low, high, wanted, unit) => {
  const raw = (high - low) / wanted || 1;
  const base = unit === bytes ? 1024 ** Math.max(0, Math.floor(Math.log2(raw) / 10)) : 1;
  const power = base * 10 ** Math.floor(Math.log10(raw / base));
  const size = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= raw * 0.999);
  const first = Math.ceil(low / size - 1e-9);
  const many = Math.min(3 * wanted, Math.floor(high / size + 1e-9) - first + 1);
  return Array.from({ length: Math.max(0, many) }, (_, at) => Number(((first + at) * size).toPrecision(12)));
};

const range = (values, { zero }) => {
  let low = Math.min(...values);
  let high = Math.max(...values);
  if (zero) low = Math.min(0, low);
  if (high - low <= 1e-9 * Math.max(Math.abs(low), Math.abs(high))) [low, high] = [low - (Math.abs(low) || 1) * 0.1, high + (Math.abs(high) || 1) * 0.1];
  const room = (high - low) * 0.05;
  return [zero ? low : low - room, high + room];
};

const thinned = (points) => {
  if (points.length <= MOST_DRAWN) return points;
  const every = points.length / MOST_DRAWN;
  return Array.from({ length: MOST_DRAWN }, (_, at) => points[Math.floor(at * every)]);
};

// series: [{run, points: [{x, y, step, kind}], steps: drawn as stairs, line: drawn at all}]; levels: [{y, name}] are dashed lines.
// Where there is nothing to draw, the words of `empty` stand there, or nothing does.
const chart = ({ title, unit, xName, series, levels = [], zero = false, empty = "", onPoint }) => {
  const figure = el("figure", { class: "chart" }, el("figcaption", { text: title }));
  const points = series.flatMap((one) => one.points);
  if (!points.length) {
    if (!empty) return null;
    figure.append(el("p", { class: "quiet", text: empty }));
    return figure;
  }
  const ys = [...points.map((point) => point.y), ...levels.map((level) => level.y)];
  const [low, high] = range(ys.length > 100000 ? ys.slice(0, 100000) : ys, { zero });
  const xHigh = points.reduce((most, point) => Math.max(most, point.x), 1e-9);
  const x = (value) => EDGE.left + (value / xHigh) * (WIDTH - EDGE.left - EDGE.right);
  const y = (value) => HEIGHT - EDGE.bottom - ((value - low) / (high - low)) * (HEIGHT - EDGE.top - EDGE.bottom);
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title });
  for (const tick of ticks(low, high, 4, unit)) {
    drawing.append(svg("line", { class: "grid", x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y(tick), y2: y(tick) }));
    const label = svg("text", { class: "tick", x: EDGE.left - 6, y: y(tick) + 4, "text-anchor": "end" });
    label.textContent = unit(tick);
    drawing.append(label);
  }
  for (const tick of ticks(0, xHigh, 6).filter((value) => xName !== "steps" || Number.isInteger(value))) {
    const label = svg("text", { class: "tick", x: x(tick), y: HEIGHT - EDGE.bottom + 14, "text-anchor": "middle" });
    label.textContent = number(tick);
    drawing.append(label);
  }
  const name = svg("text", { class: "tick", x: WIDTH - EDGE.right, y: HEIGHT - 2, "text-anchor": "end" });
  name.textContent = xName;
  drawing.append(name);
  for (const level of levels) {
    const line = svg("line", { class: "level", x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y(level.y), y2: y(level.y) });
    const label = svg("text", { class: "tick", x: WIDTH - EDGE.right, y: y(level.y) - 4, "text-anchor": "end" });
    label.textContent = `${level.name} ${unit(level.y)}`;
    drawing.append(line, label);
  }
  for (const one of series) {
    if (one.line) {
      const path = thinned(one.points)
        .map((point, at) => {
          if (!at) return `M${x(point.x)},${y(point.y)}`;
          return one.stairs ? `H${x(point.x)}V${y(point.y)}` : `L${x(point.x)},${y(point.y)}`;
        })
        .join("");
      drawing.append(svg("path", { class: `line ${colour(one.run)}`, d: path }));
    }
    for (const point of one.dots ? thinned(one.points) : []) {
      const shape =
        point.kind === "submit"
          ? svg("path", { d: `M${x(point.x)},${y(point.y) - 7}l7,7l-7,7l-7,-7z` })
          : svg("circle", { cx: x(point.x), cy: y(point.y), r: 4 });
      shape.setAttribute("class", `dot ${colour(one.run)}`);
      const words = svg("title");
      words.textContent = `${point.kind}, step ${point.number}: ${unit(point.y)}`;
      shape.append(words);
      shape.addEventListener("click", () => onPoint(one.run, point.step));
      drawing.append(shape);
    }
  }
  figure.append(drawing);
  return figure;
};
