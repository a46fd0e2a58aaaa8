// The top of the page: a row for each run, and charts of all that are shown.

const overview = {
  byTime: false,

  node() {
    this.table = el("div", { class: "scroll" });
    this.charts = el("div", { class: "charts" });
    const byTime = el("input", {
      type: "checkbox", id: "by-time",
      onchange: (event) => {
        this.byTime = event.target.checked;
        this.drawCharts();
      },
    });
    return el(
      "section", { class: "overview" }, this.table,
      el("p", { class: "quiet" }, byTime, el("label", { for: "by-time", text: " charts over minutes instead of steps" })), this.charts,
    );
  },

  draw() {
    this.drawTable();
    this.drawCharts();
  },

  drawTable() {
    const head = ["", "Run", "Task", "Score", "Baseline", "Better by", "Agent", "Ending", "Steps", "Time", "Tokens", "Cost"];
    const rows = store.runs.map((run, at) => this.row(run, at));
    this.table.replaceChildren(
      el("table", {}, el("thead", {}, el("tr", {}, ...head.map((text) => el("th", { text })))), el("tbody", {}, ...rows)),
    );
  },

  row(run, at) {
    const shown = el("input", {
      type: "checkbox", "aria-label": `show ${run.name}`, checked: columns.isShown(at), onchange: () => columns.toggle(at),
    });
    const scoring = run.scoring && run.scoring !== "clean" ? ` (${run.scoring})` : "";
    const usage = run.usage || {};
    const ending = el("span", { class: run.ending ? `fault ${run.ending.fault}` : "quiet", text: endingWords(run) });
    const cells = [
      el("span", {}, el("i", { class: `key ${colour(at)}` }), shown),
      el("a", { href: `#run=${at + 1}`, text: visible(run.name), title: visible(run.path) }),
      `${run.task}, ${run.variant}${scoring}`,
      el("b", { text: run.score ? number(run.score.value) : "\u2014" }),
      number(run.baseline),
      this.better(run.improvement),
      [run.agent, run.model, run.seed ? `seed ${run.seed}` : ""].filter(Boolean).map(visible).join(", "),
      ending,
      String(run.steps.length),
      seconds(run.seconds ? run.seconds.total : lastOf(run.steps, "elapsed")),
      usage.calls ? count(usage.input_tokens + usage.output_tokens) : "\u2014",
      usage.calls ? money(usage.cost_usd) : "\u2014",
    ];
    return el("tr", {}, ...cells.map((cell) => el("td", {}, cell)));
  },

  better(improvement) {
    if (improvement === null || improvement === undefined) return "\u2014";
    if (Math.abs(improvement) < 1e-12) return "equal";
    return (improvement > 0 ? "+" : "") + number(improvement);
  },

  // Scores of one task: validations as dots, their best so far as a line, the submission as a diamond.
  scoreChart(task, runs, common) {
    const of = runs.filter(({ run }) => run.task === task);
    const { name, direction } = of[0].run.metric;
    const baselines = new Set(of.map(({ run }) => run.baseline).filter((value) => value !== null && value !== undefined));
    return chart({
      ...common, title: `${visible(task)}: ${visible(name)}, ${direction === "minimize" ? "less" : "more"} is better (\u25cf validation, line: best so far, \u25c6 submission)`,
      unit: number, series: of.flatMap(({ run, at }) => this.scores(run, at)), levels: [...baselines].map((y) => ({ y, name: "baseline" })),
      empty: live && of.some(({ run }) => !run.ending) ? "Nothing is scored yet." : "Nothing was scored.",
    });
  },

  drawCharts() {
    const runs = store.runs.map((run, at) => ({ run, at })).filter(({ at }) => columns.isShown(at));
    const xName = this.byTime ? "minutes" : "steps";
    const onPoint = (run, step) => steps.go(run, step, { open: true });
    const tasks = [...new Set(runs.map(({ run }) => run.task))];
    const over = (pick, options = {}) => runs.map(({ run, at }) => ({ run: at, line: true, ...options, points: this.points(run, pick) }));
    const total = (pick) => {
      const sums = new Map();
      return (step, run) => {
        const sum = (sums.get(run) || 0) + (pick(step) || 0);
        sums.set(run, sum);
        return pick(step) === null || pick(step) === undefined ? (sum ? sum : null) : sum;
      };
    };
    const common = { xName, onPoint };
    const drawn = [
      ...tasks.map((task) => this.scoreChart(task, runs, common)),
      chart({ ...common, title: "Peak memory", unit: bytes, zero: true, series: over((step) => step.peak_memory_bytes) }),
      chart({ ...common, title: "CPU time, in all", unit: seconds, zero: true, series: over(total((step) => step.cpu_seconds)) }),
      chart({ ...common, title: "Tokens, in all", unit: count, zero: true, series: over(total((step) => step.tokens)) }),
      chart({ ...common, title: "Cost, in all", unit: money, zero: true, series: over(total((step) => step.cost)) }),
    ];
    this.charts.replaceChildren(...drawn.filter(Boolean));
  },

  x(run, at) {
    const step = run.steps[at];
    return this.byTime ? (step && step.elapsed ? step.elapsed / 60 : 0) : at + 1;
  },

  points(run, pick) {
    const found = [];
    run.steps.forEach((step, at) => {
      const value = pick(step, run);
      if (value !== null && value !== undefined) found.push({ x: this.x(run, at), y: value, step: at, number: step.step });
    });
    return found;
  },

  // What was scored, and the best validation so far.
  scores(run, at) {
    const index = new Map(run.steps.map((step, place) => [step.step, place]));
    const points = run.attempts
      .filter((attempt) => attempt.value !== null && attempt.value !== undefined)
      .map((attempt) => {
        const place = index.has(attempt.step) ? index.get(attempt.step) : run.steps.length - 1;
        return { x: this.x(run, place), y: attempt.value, step: place, number: attempt.step, kind: attempt.kind };
      });
    const isBetter = (one, other) => (run.metric.direction === "minimize" ? one < other : one > other);
    const best = [];
    for (const point of points.filter((one) => one.kind === "validate")) {
      if (!best.length || isBetter(point.y, best[best.length - 1].y)) best.push(point);
    }
    if (best.length) best.push({ ...best[best.length - 1], x: this.x(run, run.steps.length - 1) });
    return [{ run: at, line: true, stairs: true, points: best }, { run: at, dots: true, points }];
  },
};

const lastOf = (list, key) => (list.length ? list[list.length - 1][key] : null);
