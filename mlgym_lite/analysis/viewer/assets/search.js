// Looking for a word in everything that the agents thought, did and saw; steps are read a chunk at a time, so the page stays quick.

const search = {
  word: "",
  found: [],
  at: -1,
  turn: 0,

  node() {
    this.input = el("input", { type: "search", placeholder: "search thoughts, actions, observations", "aria-label": "search", oninput: () => this.later(), onkeydown: (event) => this.key(event) });
    this.told = el("span", { class: "quiet", role: "status" });
    this.only = el("input", { type: "checkbox", id: "only", onchange: () => this.mark() });
    return el("form", { class: "search", role: "search", onsubmit: (event) => event.preventDefault() }, this.input, this.only, el("label", { for: "only", text: "only matches" }), this.told);
  },

  key(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      if (this.input.value.toLowerCase() !== this.word) this.start();
      else this.next(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") this.input.blur();
    event.stopPropagation();
  },

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.start(), 200);
  },

  async start() {
    clearTimeout(this.timer);
    const turn = (this.turn += 1);
    this.word = this.input.value.toLowerCase();
    this.found = [];
    this.at = -1;
    this.mark();
    if (!this.word) {
      this.told.textContent = "";
      return;
    }
    for (const [run, shown] of store.runs.entries()) {
      for (let at = 0; at < shown.chunks.length; at += 1) {
        const details = await store.chunk(run, at).catch(() => []);
        if (turn !== this.turn) return;
        details.forEach((detail, place) => {
          if (this.isIn(detail)) this.found.push({ run, step: shown.chunks[at] + place });
        });
        this.told.textContent = `${this.found.length} steps \u2026`;
        if (at % 8 === 7) await new Promise((done) => setTimeout(done));
      }
    }
    this.told.textContent = `${this.found.length} step${this.found.length === 1 ? "" : "s"}`;
    this.mark();
    address.write();
  },

  isIn(detail) {
    const texts = [detail.action, detail.observation, detail.thought, ...detail.rejected.map((entry) => entry.reply), ...detail.changes.map((change) => change.path)];
    return texts.some((text) => text.toLowerCase().includes(this.word));
  },

  mark() {
    const found = new Set(this.found.map(({ run, step }) => `${run}/${step}`));
    for (const [key, row] of steps.rows) {
      row.classList.toggle("found", found.has(key));
      row.hidden = Boolean(this.word) && this.only.checked && !found.has(key);
    }
  },

  next(by) {
    if (!this.found.length) return;
    this.at = (this.at + by + this.found.length) % this.found.length;
    const { run, step } = this.found[this.at];
    this.told.textContent = `${this.at + 1} of ${this.found.length} steps`;
    steps.toggle(run, step, false).then(() => steps.go(run, step, { open: true }));
  },
};
