// One run, live: a status line, the Gantt and one card per agent, fed by one WebSocket.
// Text from models, people and endpoints only ever becomes text nodes, never markup.

const STATES = {
  waiting: ["○", "Waiting", "gray"],
  admission: ["◔", "Waiting for admission", "orange"],
  streaming: ["●", "Streaming", "blue"],
  tools: ["⚙", "Using tools", "blue"],
  backoff: ["↻", "Backing off", "orange"],
  done: ["✓", "Done", "green"],
  substituted: ["≈", "Replaced", "orange"],
  absent: ["–", "Left out", "orange"],
  failed: ["✕", "Failed", "red"],
  cancelled: ["■", "Cancelled", "gray"],
};
const ENDINGS = { done: "✓ Done", degraded: "✓ Done, with gaps", failed: "✕ Failed" };
const TOLD = /^[✓✕■…] /; // a title that says how a run ended: nothing that comes later may replace it
const TOOL_SIGNS = { running: "…", done: "✓", failed: "✕" };
const TOOL_LINES = 3; // as many as live.css shows at once
const CHARS_PER_TOKEN = 4;
const FINAL = new Set(["done", "substituted", "absent", "failed", "cancelled"]);
const CLOSED_FINISHED = 1000;
const CLOSED_UNKNOWN = 4404;
const CLOSED_TOO_MANY = 4429;
const RETRY_FIRST_MS = 400;
const RETRY_MOST_MS = 8000;
const TOKEN_MARGIN_S = 10; // a token this near its end is not worth a try
const TICK_MS = 250;
const SILENT_MS = 7000; // the server speaks every two seconds, if only to say that it is there
const AT_BOTTOM_PX = 24;
const SCROLL_END = 1e9; // browsers stop at the end

const VIEWS = new WeakMap();

function element(tag, className, parent, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

class Card {
  constructor(parent, agent, colour) {
    this.root = element("article", "gl-card", parent);
    this.root.dataset.agent = agent.agent;
    this.root.dataset.compact = ""; // until there is something to show; it never shrinks again
    this.root.style.setProperty("--phase", colour);
    const head = element("div", "gl-head", this.root);
    element("h2", "gl-title", head, agent.title);
    this.badge = element("span", "gl-badge", head);
    this.icon = element("b", "", this.badge);
    this.icon.setAttribute("aria-hidden", "true");
    this.word = element("span", "", this.badge);
    const facts = element("div", "gl-facts", this.root);
    element("span", "gl-phase", facts, agent.phase.charAt(0).toUpperCase() + agent.phase.slice(1));
    this.time = element("span", "gl-time", facts);
    this.tokens = element("span", "gl-tokens", facts);
    this.wait = element("div", "gl-wait", this.root);
    this.tools = element("ul", "gl-tools", this.root);
    this.tools.setAttribute("aria-label", `${agent.title}: what it looked up`);
    this.text = element("div", "gl-text", this.root);
    this.text.tabIndex = 0;
    this.text.setAttribute("role", "log");
    this.text.setAttribute("aria-live", "off"); // ten streams read aloud would drown everything
    this.text.setAttribute("aria-label", `${agent.title}: text so far`);
    this.clear(0);
    this.update(agent);
  }

  update(agent) {
    this.agent = agent;
    this.root.dataset.state = agent.state;
    if (agent.started_s != null) this.grow();
    const [icon, word, tone] = STATES[agent.state] ?? ["?", agent.state, "gray"];
    this.badge.dataset.tone = tone;
    setText(this.icon, icon);
    setText(this.word, word);
    this.sayTools();
    this.sayTokens();
    this.root.title = agent.hint || agent.error;
  }

  grow() {
    delete this.root.dataset.compact;
  }

  // One line for each call of a tool; a line changes when its call ends, and never leaves.
  sayTools() {
    const lines = this.agent.tools;
    while (this.tools.children.length > lines.length) this.tools.lastChild.remove();
    lines.forEach(({ tool, about, state, detail }, at) => {
      const line = this.tools.children[at] ?? element("li", "", this.tools);
      line.dataset.state = state;
      setText(line, `${TOOL_SIGNS[state]} ${tool}${about ? `: ${about}` : ""}${detail ? ` · ${detail}` : ""}`);
      line.title = line.textContent;
    });
    this.tools.tabIndex = lines.length > TOOL_LINES ? 0 : -1; // only what scrolls takes the focus
    if (lines.length !== this.told) this.tools.scrollTop = SCROLL_END;
    this.told = lines.length;
  }

  // What the provider told; until it tells, about as many as the text is long, marked as such.
  sayTokens() {
    const told = this.agent.output_tokens;
    const untold = told == null || this.agent.in_flight;
    const estimated = untold ? Math.round(this.chars / CHARS_PER_TOKEN) : 0;
    const tokens = (told ?? 0) + estimated;
    const unknown = tokens === 0 && told == null;
    setText(this.tokens, unknown ? "" : `${estimated ? "≈ " : ""}${tokens.toLocaleString()} tokens`);
  }

  clear(generation) {
    this.chars = 0;
    this.generation = generation;
    this.reader = new JsonText();
    this.pending = "";
    this.node = document.createTextNode("");
    this.text.replaceChildren(this.node);
  }

  // A new generation: the attempt before it failed, and its text is void.
  take({ generation, text }) {
    if (generation !== this.generation) this.clear(generation);
    if (text) this.grow();
    this.chars += text.length;
    this.pending += this.reader.push(text);
  }

  // Reading sizes and writing text are two steps, so that ten cards cost one layout, not ten.
  measure() {
    const box = this.text;
    this.follows = this.pending !== "" && box.scrollHeight - box.scrollTop - box.clientHeight < AT_BOTTOM_PX;
  }

  flush() {
    if (!this.pending) return;
    this.node.appendData(this.pending);
    this.pending = "";
    if (this.follows) this.text.scrollTop = SCROLL_END;
  }

  tick(now) {
    const { agent } = this;
    const until = agent.finished_s ?? now;
    setText(this.time, agent.started_s == null ? "" : duration(Math.max(0, until - agent.started_s)));
    setText(this.wait, this.detail(now));
    this.sayTokens();
  }

  detail(now) {
    const { agent } = this;
    if (agent.detail === "writes" || agent.detail === "done") return ""; // the badge says it
    if (agent.countdown) return sentence(counted(agent.countdown, now));
    if (agent.backoff_until_s == null) return sentence(agent.detail);
    const left = Math.max(0, agent.backoff_until_s - now);
    return `Next try in ${left.toFixed(left < 10 ? 1 : 0)} s. ${agent.error}`;
  }
}

function counted({ until_s, before, after }, now) {
  const left = Math.ceil(until_s - now);
  return left > 0 ? `${before}${left} s` : after;
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

class LiveView {
  constructor(parent, data) {
    this.runId = data.run_id;
    this.data = data;
    this.tokensAsked = 0;
    this.takeToken(data);
    this.parent = parent;
    this.cards = new Map();
    this.retries = 0;
    this.skew = 0;
    this.heardAt = null;
    this.lostAt = null; // when contact was last had, while there is none
    this.finished = false;
    this.disposed = false;
    this.build();
    this.dispose = this.dispose.bind(this);
    this.onVisible = () => document.hidden || this.resume();
    document.addEventListener("visibilitychange", this.onVisible);
    this.ticker = setInterval(() => document.hidden || this.tick(), TICK_MS);
    this.connect();
  }

  build() {
    this.root = element("div", "gl", null);
    const status = element("div", "gl-status", this.root);
    this.say = element("div", "gl-say", status, "Connecting…");
    this.say.setAttribute("role", "status");
    this.clock = element("div", "gl-clock", status);
    const progress = element("div", "gl-progress", status);
    this.bar = element("div", "", progress);
    this.note = element("div", "gl-note", this.root);
    this.note.setAttribute("role", "status");
    this.note.hidden = true;
    this.noteSays = element("span", "", this.note);
    this.noteSince = element("span", "", this.note);
    this.noteSince.setAttribute("aria-hidden", "true"); // seconds that are read aloud never end
    this.noteEnds = element("span", "", this.note);
    const gantt = element("div", "gl-gantt", this.root);
    gantt.dataset.gantt = "";
    gantt.setAttribute("role", "img");
    gantt.setAttribute("aria-label", "Gantt chart: when each agent works. The cards below say the same in words.");
    const plot = element("div", "gl-plot", gantt);
    const key = element("div", "gl-key", gantt);
    this.admission = new AdmissionPanel(this.root, () => this.hasToken());
    this.admission.takeToken(this.data.gates_token);
    this.grid = element("div", "gl-cards", this.root);
    this.parent.append(this.root);
    this.gantt = new Gantt(plot, key, () => this.look());
    loadPlotly(this.data.plotly_url).then(
      (plotly) => {
        this.gantt.plotly = plotly;
        this.gantt.draw();
      },
      () => setText(plot, "The chart could not be loaded. The cards show everything it would."),
    );
  }

  look() {
    const style = getComputedStyle(this.root);
    const read = (name, fallback) => style.getPropertyValue(name).trim() || fallback;
    return {
      text: read("--st-text-color", "#222"),
      background: read("--st-background-color", "#fff"),
      surface: read("--st-secondary-background-color", "#eee"),
      border: read("--st-border-color", "#ccc"),
      primary: read("--st-primary-color", "#44f"),
      gray: read("--st-gray-color", "#888"),
      red: read("--st-red-color", "#e44"),
      font: read("--st-font", "sans-serif"),
    };
  }

  // A socket opens with a token that lives a minute. A later rerun of the page brings a new one, and
  // one can be asked for: the page checks again who is looking.
  takeToken(data) {
    this.token = data.token;
    this.tokenEnds = performance.now() + 1000 * (data.token_life_s - TOKEN_MARGIN_S);
  }

  tokenCame(data) {
    if (data.token === this.token) return;
    this.takeToken(data);
    this.admission.takeToken(data.gates_token);
    if (this.socket) return;
    clearTimeout(this.retryTimer);
    this.connect();
  }

  hasToken() {
    if (performance.now() < this.tokenEnds) return true;
    this.wantToken();
    return false;
  }

  wantToken() {
    this.tokensAsked += 1;
    this.tokenEnds = 0;
    this.setTriggerValue("token_wanted", this.tokensAsked);
  }

  askForToken() {
    this.wantToken();
    this.retryLater(); // the page may be cut off as well: it is asked again
  }

  connect() {
    if (this.disposed || this.finished) return;
    if (performance.now() > this.tokenEnds) return this.askForToken();
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const id = encodeURIComponent(this.runId);
    const socket = new WebSocket(`${scheme}//${location.host}/api/runs/${id}/ws?token=${encodeURIComponent(this.token)}`);
    this.socket = socket;
    socket.onmessage = (event) => socket === this.socket && this.receive(JSON.parse(event.data));
    socket.onclose = (event) => socket === this.socket && this.closed(event.code);
  }

  closed(code) {
    this.socket = null;
    if (this.disposed || this.finished) return;
    if (code === CLOSED_FINISHED && this.plan) return this.finish();
    this.lostAt ??= performance.now();
    if (code === CLOSED_UNKNOWN) {
      this.showNote("This run is not known here. It may have been deleted.");
      if (this.tokenRefused) return;
      this.tokenRefused = true;
      return this.askForToken(); // the page looks again, and says what is so
    }
    if (code === CLOSED_TOO_MANY) this.showNote("Too many people watch this run at the moment. Trying again…");
    else this.showNote("No contact", "; trying again.");
    this.tick();
    this.retryLater();
  }

  // A connection that has died without a word is as lost as one that was closed.
  giveUpIfSilent() {
    const { socket } = this;
    if (!socket || this.heardAt === null || this.lostAt !== null) return;
    if (performance.now() - this.heardAt < SILENT_MS) return;
    this.lostAt = this.heardAt;
    this.closed(0);
    socket.close();
  }

  retryLater() {
    const wait = Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** this.retries) * (0.75 + Math.random() / 2);
    this.retries += 1;
    clearTimeout(this.retryTimer);
    this.retryTimer = setTimeout(() => this.connect(), wait);
  }

  // `ends`, if given, stands after how long there has been no contact.
  showNote(says, ends = "") {
    setText(this.noteSays, says);
    setText(this.noteEnds, ends);
    this.note.hidden = !says;
    this.tellSilence();
  }

  tellSilence() {
    const counts = this.lostAt !== null && this.noteEnds.textContent;
    setText(this.noteSince, counts ? ` for ${wholeSeconds((performance.now() - this.lostAt) / 1000)}` : "");
  }

  resume() {
    if (!this.socket && !this.finished) {
      clearTimeout(this.retryTimer);
      this.connect();
    }
    this.tick();
    this.gantt.draw();
  }

  receive(message) {
    this.retries = 0;
    this.tokenRefused = false;
    this.heardAt = performance.now();
    this.lostAt = null; // the snapshot that comes first sets the clock anew
    this.showNote("");
    if (message.type === "alive") return;
    if (message.type === "admission") return this.admission.take(message);
    if (message.plan) this.takePlan(message);
    if (!this.plan) return;
    this.status = message.status;
    this.nowAtMessage = message.now_s;
    this.skew = message.now_s - performance.now() / 1000;
    for (const card of message.cards) this.cards.get(card.agent)?.update(card);
    for (const [agent, text] of Object.entries(message.texts ?? message.append)) this.cards.get(agent)?.take(text);
    if (message.gantt) this.gantt.take(message.gantt);
    setText(this.say, message.status_line);
    this.drawTexts();
    if (message.type === "snapshot" || message.cards.length) this.tick();
  }

  drawTexts() {
    const cards = [...this.cards.values()];
    for (const card of cards) card.measure();
    for (const card of cards) card.flush();
  }

  // A plan comes with all cards and rows: at first, and again when it has grown. Texts come whole
  // with a snapshot only, so a card that stays keeps its text when the plan grows.
  takePlan(message) {
    this.plan = message.plan;
    this.gantt.begin(this.runId, message.plan);
    const known = this.cards;
    this.cards = new Map(message.cards.map((card) => [card.agent, this.cardFor(card, known)]));
    for (const [agent, card] of known) if (!this.cards.has(agent)) card.root.remove();
    if (message.type === "snapshot") for (const card of this.cards.values()) card.clear(-1);
    let next = null; // from the last to the first: moving a card that stands right would lose its scroll
    for (const { root } of [...this.cards.values()].reverse()) {
      if (root.nextSibling !== next) this.grid.insertBefore(root, next);
      next = root;
    }
  }

  cardFor(card, known) {
    const { colour } = this.plan.phases.find((phase) => phase.name === card.phase);
    return known.get(card.agent) ?? new Card(this.grid, card, colour);
  }

  // Without contact nobody knows how the run goes: its time stands where it was last heard of.
  now() {
    return this.finished ? this.nowAtMessage : this.skew + (this.lostAt ?? performance.now()) / 1000;
  }

  tick() {
    if (this.disposed) return;
    this.giveUpIfSilent();
    this.tellSilence();
    if (!this.plan) return;
    const now = this.now();
    const started = this.status !== "queued";
    for (const card of this.cards.values()) card.tick(now);
    const settled = [...this.cards.values()].filter((card) => FINAL.has(card.agent.state)).length;
    const lost = this.lostAt === null ? "" : " when last heard of";
    setText(this.clock, started ? `${duration(Math.max(0, now))}${this.pauses()}${lost}` : "");
    this.bar.style.width = `${(100 * settled) / this.cards.size}%`;
    if (!this.finished) this.title(`● ${settled}/${this.cards.size}`);
    if (started) this.gantt.show(now);
  }

  // Pauses count nowhere; the clock says how long they were.
  pauses() {
    const paused = (this.gantt.gaps ?? []).reduce((sum, gap) => sum + gap.duration_s, 0);
    return paused > 0 ? ` (paused ${duration(paused)} in between)` : "";
  }

  finish() {
    this.finished = true;
    clearInterval(this.ticker);
    this.tick();
    this.title(`${ENDINGS[this.status] ?? "■ Stopped"} –`);
    this.setTriggerValue("finished", this.status);
  }

  // The page names an ended run itself, often before this view has heard of the end.
  title(state) {
    if (!this.disposed && !TOLD.test(document.title)) document.title = `${state} ${this.data.topic} – Gantry`;
  }

  themeChanged() {
    requestAnimationFrame(() => this.gantt.draw());
  }

  dispose() {
    this.disposed = true;
    clearInterval(this.ticker);
    clearTimeout(this.retryTimer);
    document.removeEventListener("visibilitychange", this.onVisible);
    if (this.socket) this.socket.close(1000);
    this.gantt.dispose();
    this.root.remove();
    VIEWS.delete(this.parent);
  }
}

// Called again on every change of data or theme; the socket of a run is opened once.
export default function (component) {
  const { parentElement, data, setTriggerValue } = component;
  if (!data.run_id) {
    const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 300));
    idle(() => loadPlotly(data.plotly_url).catch(() => undefined));
    return undefined;
  }
  let view = VIEWS.get(parentElement);
  if (view && view.runId !== data.run_id) {
    view.dispose();
    view = undefined;
  }
  if (!view) {
    view = new LiveView(parentElement, data);
    VIEWS.set(parentElement, view);
  }
  view.setTriggerValue = setTriggerValue;
  view.tokenCame(data);
  view.themeChanged();
  return view.dispose;
}
