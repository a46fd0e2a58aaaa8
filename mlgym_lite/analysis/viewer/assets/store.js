// Where the data is: packed in the page, or, of runs in progress, asked of the server that gave the page.

const live = document.documentElement.dataset.live === "yes";
const LIVE_CHUNK = 50;
const KEPT_CHUNKS = 16;

const unpack = async (id) => {
  const binary = atob(document.getElementById(id).textContent);
  const packed = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at += 1) packed[at] = binary.charCodeAt(at);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return JSON.parse(await new Response(stream).text());
};

const asked = async (path) => {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  return answer.json();
};

const store = {
  runs: [],
  version: 0,
  kept: new Map(),

  async load() {
    const content = live ? await asked(`runs?seen=${this.version}`) : await unpack("runs");
    if (live) {
      this.version = content.seen;
      for (const [run, shown] of content.runs.entries()) {
        const known = this.runs[run] ? this.runs[run].steps.length : 0;
        if (shown.steps.length !== known) this.kept.delete(`${run}/${Math.floor(known / LIVE_CHUNK)}`);
        shown.chunks = Array.from({ length: Math.ceil(shown.steps.length / LIVE_CHUNK) }, (_, at) => at * LIVE_CHUNK);
      }
    }
    this.runs = content.runs;
  },

  chunkOf(run, step) {
    const firsts = this.runs[run].chunks;
    let low = 0;
    for (let high = firsts.length - 1; low < high; ) {
      const middle = (low + high + 1) >> 1;
      if (firsts[middle] <= step) low = middle;
      else high = middle - 1;
    }
    return low;
  },

  // The details of some steps, as a promise of a list that begins at the chunk's first step.
  chunk(run, at) {
    const key = `${run}/${at}`;
    let content = this.kept.get(key);
    this.kept.delete(key);
    if (!content) {
      const first = this.runs[run].chunks[at];
      content = live ? asked(`steps/${run}/${first}/${first + LIVE_CHUNK}`) : unpack(`chunk-${run}-${at}`);
      content.catch(() => this.kept.delete(key));
    }
    this.kept.set(key, content);
    if (this.kept.size > KEPT_CHUNKS) this.kept.delete(this.kept.keys().next().value);
    return content;
  },

  async detail(run, step) {
    const at = this.chunkOf(run, step);
    return (await this.chunk(run, at))[step - this.runs[run].chunks[at]];
  },

  start: (run) => (live ? asked(`start/${run}`) : unpack(`start-${run}`)),
};
