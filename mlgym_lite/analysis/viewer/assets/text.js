// Building elements, and words for what is shown. Text from a run goes through `visible` and into text nodes, never into HTML.

const el = (tag, options = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
};

const COLOURS = /\x1b\[[0-9;:]*m/g;
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f]/g;
const UNSEEN = /[\x80-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

// Text of a run as it can be shown: colours left out, other control characters as signs of their own.
const visible = (text) =>
  String(text)
    .replace(/\r\n/g, "\n")
    .replace(COLOURS, "")
    .replace(/\r/g, "\u240d\n")
    .replace(CONTROLS, (found) => (found === "\x7f" ? "\u2421" : String.fromCharCode(0x2400 + found.charCodeAt(0))))
    .replace(UNSEEN, (found) => `\u27e8U+${found.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}\u27e9`);

const number = (value) => {
  if (value === null || value === undefined) return "\u2014";
  if (typeof value !== "number") return String(value);
  return Math.abs(value) >= 1e6 ? value.toExponential(3) : String(Number(value.toPrecision(5)));
};

const bytes = (value) => {
  if (value === null || value === undefined) return "\u2014";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  for (; value >= 1024 && at < units.length - 1; at += 1) value /= 1024;
  return `${at ? Number(value.toPrecision(3)) : value} ${units[at]}`;
};

const seconds = (value) => {
  if (value === null || value === undefined) return "\u2014";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 120) return `${Number(value.toPrecision(3))} s`;
  if (value < 7200) return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
  return `${Math.floor(value / 3600)} h ${Math.round((value % 3600) / 60)} min`;
};

const count = (value) => {
  if (value === null || value === undefined) return "\u2014";
  if (value < 10000) return String(value);
  return value < 1e6 ? `${Number((value / 1e3).toPrecision(3))} k` : `${Number((value / 1e6).toPrecision(3))} M`;
};

const money = (value) => (value === null || value === undefined ? "unknown" : `$${value.toFixed(value < 1 ? 4 : 2)}`);

const FAULTS = {
  agent: "the agent\u2019s doing", limit: "a limit", task: "the task\u2019s fault", us: "mlgym-lite\u2019s fault", user: "the user\u2019s doing",
};

const endingWords = (run) => {
  if (run.trouble) return "cannot be read";
  if (!run.ending) return live ? "goes on" : "no result: it goes on, or was killed";
  const { reason, fault, autosubmitted } = run.ending;
  return `${reason.replace(/_/g, " ")}${autosubmitted ? ", scored as it was" : ""}`;
};

// A text as nodes, with every place of a word in a <mark>.
const marked = (text, word) => {
  if (!word) return [document.createTextNode(text)];
  const nodes = [];
  let at = 0;
  for (const found of text.matchAll(new RegExp(word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "gi"))) {
    if (nodes.length > 2000) break;
    nodes.push(document.createTextNode(text.slice(at, found.index)), el("mark", { text: found[0] }));
    at = found.index + found[0].length;
  }
  nodes.push(document.createTextNode(text.slice(at)));
  return nodes;
};
