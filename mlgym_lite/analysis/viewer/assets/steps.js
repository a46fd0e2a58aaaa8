// The runs side by side, each a column of steps that are unfolded on demand.

const SHOWN_CHARACTERS = 12000;

const columns = {
  shown: new Set(),

  node() {
    this.holder = el("section", { class: "columns" });
    this.tabs = el("nav", { class: "tabs", "aria-label": "runs" });
    return el("div", {}, this.tabs, this.holder);
  },

  isShown(run) {
    return this.shown.has(run);
  },

  toggle(run) {
    if (this.shown.has(run)) this.shown.delete(run);
    else this.shown.add(run);
    this.draw();
    overview.drawCharts();
  },

  draw() {
    const runs = [...this.shown].sort((one, other) => one - other);
    this.holder.replaceChildren(...runs.map((run) => steps.column(run)));
    this.holder.classList.toggle("several", runs.length > 1);
    const tab = (run) => el("button", { type: "button", class: colour(run), text: visible(store.runs[run].name), onclick: () => this.front(run) });
    this.tabs.replaceChildren(...(runs.length > 1 ? runs.map(tab) : []));
    this.front(runs.includes(steps.current.run) ? steps.current.run : runs[0]);
    search.mark();
  },

  // On a narrow screen one column is seen at a time.
  front(run) {
    for (const column of this.holder.children) column.classList.toggle("front", column.dataset.run === String(run));
    for (const [at, tab] of [...this.tabs.children].entries()) tab.setAttribute("aria-pressed", this.holder.children[at].dataset.run === String(run));
  },
};

const steps = {
  current: { run: 0, step: -1 },
  rows: new Map(),

  column(run) {
    const shown = store.runs[run];
    const list = el("ol", { class: "steps" });
    list.append(...shown.steps.map((_, step) => this.row(run, step)));
    return el(
      "article", { class: `column ${colour(run)}`, "data-run": run }, this.head(run), this.told(run), list,
      el("div", { class: "ending" }, ...this.ending(run)),
    );
  },

  head(run) {
    const shown = store.runs[run];
    const what = [shown.task, shown.variant, shown.agent, shown.model, shown.seed === null || shown.seed === undefined ? null : `seed ${shown.seed}`].filter((part) => part !== null && part !== undefined);
    return el("header", {}, el("h2", { text: visible(shown.name) }), el("p", { class: "quiet", text: visible(what.join(" \u00b7 ")) }));
  },

  told(run) {
    const box = el("details", { class: "told" }, el("summary", { text: "What the agent was told" }));
    box.addEventListener("toggle", async () => {
      if (!box.open || box.children.length > 1) return;
      const start = await store.start(run);
      if (box.children.length > 1) return;
      const told = start.prompt.length ? start.prompt.map((message) => [message.role, message.content]) : [["instruction", start.instruction]];
      box.append(...told.flatMap(([role, text]) => this.part(role, text)));
    });
    return box;
  },

  row(run, step) {
    const shown = store.runs[run].steps[step];
    const line = el("button", { type: "button", class: "line", "aria-expanded": "false", onclick: () => this.toggle(run, step).then(() => address.write()) });
    line.append(el("code", { class: "title", text: visible(shown.title) }), el("span", { class: "badges" }, ...this.badges(run, step)));
    const link = el("a", { class: "number", href: `#run=${run + 1}&step=${shown.step}`, text: String(shown.step), title: "link to this step" });
    const row = el("li", { class: "step", id: `r${run}s${step}` }, link, line);
    this.rows.set(`${run}/${step}`, row);
    return row;
  },

  badges(run, step) {
    const shown = store.runs[run].steps[step];
    const badge = (text, kind, title) => el("span", { class: `badge ${kind}`, text, title });
    const found = store.runs[run].attempts
      .filter((attempt) => attempt.step === shown.step)
      .map((attempt) => (attempt.rejected ? badge(`${attempt.kind}: rejected`, "bad", visible(attempt.rejected)) : badge(`${attempt.kind} ${number(attempt.value)}`, "score")));
    if (shown.rejected) found.push(badge(`${shown.rejected} ill-formed`, "bad", "replies that were sent back before this action"));
    const submitted = found.some((one) => one.textContent.startsWith("submit"));
    if (shown.exit_status === null && !submitted) found.push(badge("shell ended", "bad"));
    else if (shown.exit_status) found.push(badge(`exit ${shown.exit_status}`, "bad"));
    if (shown.changes) found.push(badge(`${shown.changes} file${shown.changes === 1 ? "" : "s"}`, "plain", "changed in the workspace"));
    if (shown.pictures) found.push(badge(`${shown.pictures} picture${shown.pictures === 1 ? "" : "s"}`, "plain"));
    found.push(badge(seconds(shown.seconds), "quiet"));
    return found;
  },

  async toggle(run, step, wanted) {
    const row = this.rows.get(`${run}/${step}`);
    if (!row) return;
    const isOpen = row.classList.contains("open");
    const open = wanted === undefined ? !isOpen : wanted;
    this.select(run, step);
    if (open === isOpen) return;
    row.classList.toggle("open", open);
    row.querySelector(".line").setAttribute("aria-expanded", String(open));
    if (!open) {
      row.querySelector(".body")?.remove();
      return;
    }
    const body = el("div", { class: "body" }, el("p", { class: "quiet", text: "\u2026" }));
    row.append(body);
    try {
      const detail = await store.detail(run, step);
      body.replaceChildren(...this.body(run, step, detail));
    } catch (error) {
      body.replaceChildren(el("p", { class: "bad", text: `This step cannot be shown: ${error.message}` }));
    }
  },

  body(run, step, detail) {
    const shown = store.runs[run].steps[step];
    const facts = [
      `folder ${detail.cwd}`, `exit status ${shown.exit_status === null ? "none" : shown.exit_status}`, `${seconds(shown.seconds)}`,
      `peak memory ${bytes(shown.peak_memory_bytes)}`, `CPU ${seconds(shown.cpu_seconds)}`,
    ];
    if (detail.tokens) facts.push(`${count(detail.tokens.input)} tokens in, ${count(detail.tokens.output)} out`, `cost ${money(shown.cost)}`);
    if (detail.finish_reason) facts.push(`reply: ${detail.finish_reason}`);
    const further = Object.keys(detail.further).length ? this.part("details", JSON.stringify(detail.further, null, 1)) : [];
    return [
      ...detail.rejected.flatMap((entry) => [...this.part("ill-formed reply", entry.reply, "bad"), ...this.part("what was said to it", entry.error)]),
      ...(detail.thought ? this.part("thought", detail.thought, "thought") : []),
      ...this.part("action", detail.action, "action"),
      ...this.part("observation", detail.observation || "(nothing was printed)", "observation"),
      ...detail.pictures.map((picture) => el("img", { class: "picture", src: picture, alt: "a picture that the agent asked to see" })),
      ...detail.changes.flatMap((change) => this.change(change)),
      ...(detail.changes_complete ? [] : [el("p", { class: "quiet", text: "More may have changed: not all of the workspace was looked at." })]),
      ...further,
      el("p", { class: "quiet facts", text: visible(facts.join(" \u00b7 ")) }),
    ];
  },

  part(name, text, kind = "") {
    const whole = visible(text);
    const box = el("pre", { class: kind }, ...marked(whole.slice(0, SHOWN_CHARACTERS), search.word));
    const parts = [el("h3", { text: name }), box];
    if (whole.length > SHOWN_CHARACTERS) {
      const rest = el("button", { type: "button", text: `show all ${count(whole.length)} characters`, onclick: () => {
        box.replaceChildren(...marked(whole, search.word));
        rest.remove();
      } });
      parts.push(rest);
    }
    return parts;
  },

  change(change) {
    const head = el("h3", { text: `${change.kind}: ${visible(change.path)}` });
    if (change.diff === null) return [head, el("p", { class: "quiet", text: "no text, or too large for a diff" })];
    const kinds = { "+": "added", "-": "removed", "@": "place" };
    const lines = change.diff.split("\n").map((line) => el("span", { class: kinds[line[0]] || "", text: `${visible(line)}\n` }));
    return [head, el("pre", { class: "diff" }, ...lines)];
  },

  ending(run) {
    const shown = store.runs[run];
    if (shown.trouble) return [el("pre", { class: "bad", text: visible(shown.trouble) })];
    if (!shown.ending) return [el("p", { class: "quiet", text: endingWords(shown) })];
    const { fault, detail } = shown.ending;
    const time = shown.seconds || {};
    const parts = ["agent", "commands", "grading", "framework"].filter((part) => time[part] !== undefined).map((part) => `${part} ${seconds(time[part])}`);
    return [
      el("h3", {}, el("span", { class: `fault ${fault}`, text: endingWords(shown) }), ` \u2014 ${FAULTS[fault]}`),
      ...(detail ? [el("pre", { text: visible(detail) })] : []),
      ...shown.stop.flatMap((entry) => [...this.part("ill-formed reply", entry.reply, "bad"), ...this.part("what was said to it", entry.error)]),
      el("p", { text: shown.score ? Object.entries(shown.score.metrics).map(([name, value]) => `${visible(name)} ${number(value)}`).join(", ") : "not scored" }),
      el("p", { class: "quiet", text: [`isolation: ${shown.mechanism}`, ...parts].join(" \u00b7 ") }),
      ...shown.weakened.map((text) => el("p", { class: "quiet", text: `weaker: ${visible(text)}` })),
    ];
  },

  select(run, step) {
    this.rows.get(`${this.current.run}/${this.current.step}`)?.classList.remove("current");
    this.current = { run, step };
    this.rows.get(`${run}/${step}`)?.classList.add("current");
  },

  // Lead to a step: its column is shown, it is in sight, the address names it.
  go(run, step, { open = false } = {}) {
    if (!store.runs[run]) return;
    if (!columns.isShown(run)) columns.toggle(run);
    columns.front(run);
    const last = store.runs[run].steps.length - 1;
    const place = Math.max(0, Math.min(step, last));
    this.select(run, place);
    const row = this.rows.get(`${run}/${place}`);
    if (!row) return;
    row.scrollIntoView({ block: "nearest" });
    row.querySelector(".line").focus({ preventScroll: true });
    address.write();
    if (open) this.toggle(run, place, true).then(() => this.inSight(row));
  },

  // An unfolded step is seen from its beginning, and whole where it fits.
  inSight(row) {
    const { top, bottom } = row.getBoundingClientRect();
    if (bottom > window.innerHeight || top < 0) row.scrollIntoView({ block: "start" });
  },

  foldAll(open) {
    const { run } = this.current;
    store.runs[run].steps.forEach((_, step) => {
      if (!open || step < 200) this.toggle(run, step, open);
    });
  },

  // Rows for steps that came since a run in progress was last asked.
  takeUp() {
    for (const column of columns.holder.children) {
      const run = Number(column.dataset.run);
      const list = column.querySelector("ol");
      const shown = store.runs[run].steps.length;
      for (let step = list.children.length; step < shown; step += 1) list.append(this.row(run, step));
      for (let step = 0; step < shown; step += 1) {
        const line = this.rows.get(`${run}/${step}`).querySelector(".line");
        const held = line.querySelector(".badges");
        const badges = this.badges(run, step);
        if (held.textContent !== badges.map((badge) => badge.textContent).join("")) held.replaceChildren(...badges);
      }
      column.querySelector(".ending").replaceChildren(...this.ending(run));
    }
  },
};
