// Keys, and the address that leads back to what is looked at.

const KEYS = [
  ["j, k", "the next step, the one before", { j: () => move(1), k: () => move(-1) }],
  ["o, Enter", "unfold or fold the step", { o: () => unfold() }],
  ["h, l", "the run to the left, to the right", { h: () => side(-1), l: () => side(1) }],
  ["s", "the next step that was scored", { s: () => nextScored() }],
  ["g, G", "the first step, the last", { g: () => steps.go(steps.current.run, 0), G: () => steps.go(steps.current.run, Infinity) }],
  ["e, c", "unfold all of the run (200 at most), fold all", { e: () => steps.foldAll(true), c: () => steps.foldAll(false) }],
  ["/", "search", { "/": () => search.input.focus() }],
  ["n, N", "the next match, the one before", { n: () => search.next(1), N: () => search.next(-1) }],
  ["?", "these keys", { "?": () => help.toggle() }],
];

const actions = Object.assign({}, ...KEYS.map(([, , bound]) => bound));

const unfold = async () => {
  const { run, step } = steps.current;
  const place = Math.max(0, step);
  await steps.toggle(run, place);
  const row = steps.rows.get(`${run}/${place}`);
  if (row) steps.inSight(row);
};

const isHidden = (run, step) => steps.rows.get(`${run}/${step}`)?.hidden;

const move = (by) => {
  const { run } = steps.current;
  const last = store.runs[run].steps.length - 1;
  let step = steps.current.step + by;
  while (step >= 0 && step <= last && isHidden(run, step)) step += by;
  if (step >= 0 && step <= last) steps.go(run, step);
};

const side = (by) => {
  const shown = [...columns.shown].sort((one, other) => one - other);
  const run = shown[shown.indexOf(steps.current.run) + by];
  if (run !== undefined) steps.go(run, Math.max(0, steps.current.step));
};

const nextScored = () => {
  const { run, step } = steps.current;
  const scored = new Set(store.runs[run].attempts.map((attempt) => attempt.step));
  const found = store.runs[run].steps.findIndex((one, at) => at > step && scored.has(one.step));
  if (found >= 0) steps.go(run, found, { open: true });
};

const help = {
  node() {
    const rows = KEYS.map(([keys, words]) => el("tr", {}, el("td", {}, el("kbd", { text: keys })), el("td", { text: words })));
    this.dialog = el("dialog", { class: "help" }, el("h2", { text: "Keys" }), el("table", {}, ...rows), el("form", { method: "dialog" }, el("button", { text: "Close" })));
    return this.dialog;
  },

  toggle() {
    if (this.dialog.open) this.dialog.close();
    else this.dialog.showModal();
  },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  if (help.dialog.open && event.key !== "?") return;
  const action = actions[event.key];
  if (action && store.runs.length) {
    event.preventDefault();
    action();
  }
});

const address = {
  write() {
    const { run, step } = steps.current;
    const parts = [`run=${run + 1}`];
    if (step >= 0 && store.runs[run].steps[step]) parts.push(`step=${store.runs[run].steps[step].step}`);
    if (search.word) parts.push(`q=${encodeURIComponent(search.word)}`);
    try {
      history.replaceState(null, "", `#${parts.join("&")}`);
    } catch {
      // Some browsers refuse it for local files; the links of the steps work there too.
    }
  },

  follow() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const run = Number(wanted.get("run") || 1) - 1;
    const word = wanted.get("q");
    if (word && word !== search.word) {
      search.input.value = word;
      search.start().then(() => wanted.has("step") || search.next(1));
    }
    if (!wanted.has("run") || !store.runs[run]) return;
    const step = store.runs[run].steps.findIndex((one) => String(one.step) === wanted.get("step"));
    if (step >= 0) steps.go(run, step, { open: true });
    else {
      if (!columns.isShown(run)) columns.toggle(run);
      steps.select(run, -1);
      columns.front(run);
      columns.holder.querySelector(`[data-run="${run}"]`)?.scrollIntoView({ block: "start" });
    }
  },
};
