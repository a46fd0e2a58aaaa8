// Putting the page together, and following runs in progress.

const MOST_COLUMNS = 3;

const following = {
  node() {
    this.box = el("input", { type: "checkbox", id: "follow", checked: true });
    this.told = el("span", { class: "quiet", role: "status" });
    return live ? el("span", { class: "follow" }, this.box, el("label", { for: "follow", text: "follow" }), " ", this.told) : null;
  },

  // The server answers when something is new, or after a while when nothing is.
  async go() {
    for (;;) {
      try {
        const before = store.runs.map((run) => run.steps.length);
        await store.load();
        this.told.textContent = store.runs.every((run) => run.ending) ? "all have ended" : "in progress";
        overview.draw();
        steps.takeUp();
        search.mark();
        const run = store.runs.findIndex((one, at) => one.steps.length > before[at] && columns.isShown(at));
        if (run >= 0 && this.box.checked) {
          const last = store.runs[run].steps.length - 1;
          if (steps.current.run === run && steps.current.step >= 0) await steps.toggle(run, steps.current.step, false);
          steps.go(run, last, { open: true });
        }
      } catch (error) {
        this.told.textContent = `mlgym-lite view does not answer (${error.message}); asking again`;
        await new Promise((done) => setTimeout(done, 2000));
      }
    }
  },
};

const start = async () => {
  const page = document.getElementById("page");
  page.append(
    el("header", { class: "top" }, el("h1", { text: "mlgym-lite" }), search.node(), following.node(), el("button", { type: "button", class: "keys", text: "keys", onclick: () => help.toggle() })),
    overview.node(), columns.node(), help.node(),
  );
  try {
    await store.load();
  } catch (error) {
    page.append(el("p", { class: "bad", text: `The data cannot be read: ${error.message}. A recent Firefox, Chromium or Safari can.` }));
    return;
  }
  store.runs.slice(0, MOST_COLUMNS).forEach((_, run) => columns.shown.add(run));
  columns.draw();
  overview.draw();
  address.follow();
  window.addEventListener("hashchange", () => address.follow());
  document.documentElement.dataset.ready = "yes";
  if (live) following.go();
};

start();
