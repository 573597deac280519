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
const FINAL = new Set(["done", "substituted", "absent", "failed", "cancelled"]);
const CLOSED_FOR_GOOD = new Set([1000, 4404]);
const RETRY_FIRST_MS = 400;
const RETRY_MOST_MS = 8000;
const TICK_MS = 250;
const AT_BOTTOM_PX = 24;

const VIEWS = new WeakMap();

function element(tag, className, parent, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
}

class Card {
  constructor(parent, agent, colour) {
    this.root = element("article", "gl-card", parent);
    this.root.dataset.agent = agent.agent;
    this.root.style.setProperty("--phase", colour);
    const head = element("div", "gl-head", this.root);
    element("h4", "gl-title", head, agent.title);
    this.badge = element("span", "gl-badge", head);
    this.icon = element("b", "", this.badge);
    this.icon.setAttribute("aria-hidden", "true");
    this.word = element("span", "", this.badge);
    const facts = element("div", "gl-facts", this.root);
    element("span", "gl-phase", facts, agent.phase.charAt(0).toUpperCase() + agent.phase.slice(1));
    this.time = element("span", "gl-time", facts);
    this.tokens = element("span", "gl-tokens", facts);
    this.wait = element("div", "gl-wait", this.root);
    this.text = element("div", "gl-text", this.root);
    this.text.tabIndex = 0;
    this.text.setAttribute("role", "log");
    this.text.setAttribute("aria-live", "off"); // ten streams read aloud would drown everything
    this.text.setAttribute("aria-label", `${agent.title}: text so far`);
    this.clear();
    this.update(agent);
  }

  update(agent) {
    this.agent = agent;
    this.root.dataset.state = agent.state;
    const [icon, word, tone] = STATES[agent.state] ?? ["?", agent.state, "gray"];
    this.badge.dataset.tone = tone;
    setText(this.icon, icon);
    setText(this.word, word);
    setText(this.tokens, agent.output_tokens == null ? "" : `${agent.output_tokens.toLocaleString()} tokens`);
    this.root.title = agent.note || "";
  }

  clear() {
    this.reader = new JsonText();
    this.node = document.createTextNode("");
    this.text.replaceChildren(this.node);
  }

  append(piece) {
    const box = this.text;
    const follows = box.scrollHeight - box.scrollTop - box.clientHeight < AT_BOTTOM_PX;
    this.node.appendData(this.reader.push(piece));
    if (follows) box.scrollTop = box.scrollHeight;
  }

  tick(now) {
    const { agent } = this;
    const from = agent.ready_s;
    const until = agent.finished_s ?? now;
    setText(this.time, from == null ? "" : duration(Math.max(0, until - from)));
    setText(this.wait, this.reason(now));
  }

  reason(now) {
    const { agent } = this;
    if (agent.state === "backoff" && agent.resume_s != null) {
      const left = Math.max(0, agent.resume_s - now);
      return `Next try in ${left.toFixed(left < 10 ? 1 : 0)} s. ${agent.note || ""}`;
    }
    if (agent.state === "waiting" && agent.waiting_for.length) return `for ${agent.waiting_for.join(", ")}`;
    return agent.note || "";
  }
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

class LiveView {
  constructor(parent, data) {
    this.runId = data.run_id;
    this.data = data;
    this.parent = parent;
    this.cards = new Map();
    this.retries = 0;
    this.skew = 0;
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
    this.note.hidden = true;
    const gantt = element("div", "gl-gantt", this.root);
    gantt.dataset.gantt = "";
    gantt.setAttribute("role", "img");
    gantt.setAttribute("aria-label", "Gantt chart: when each agent works. The cards below say the same in words.");
    const plot = element("div", "gl-plot", gantt);
    const key = element("div", "gl-key", gantt);
    this.grid = element("div", "gl-cards", this.root);
    this.parent.append(this.root);
    this.gantt = new Gantt(plot, key, () => this.look());
    this.gantt.container = gantt;
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
    const palette = read("--st-chart-categorical-colors", "#4c6ef5").split(/,(?![^(]*\))/).map((c) => c.trim());
    const phases = this.model?.phases ?? [];
    return {
      text: read("--st-text-color", "#222"),
      background: read("--st-background-color", "#fff"),
      surface: read("--st-secondary-background-color", "#eee"),
      border: read("--st-border-color", "#ccc"),
      primary: read("--st-primary-color", "#44f"),
      gray: read("--st-gray-color", "#888"),
      orange: read("--st-orange-color", "#e80"),
      font: read("--st-font", "sans-serif"),
      phaseColour: (phase) => palette[Math.max(0, phases.indexOf(phase)) % palette.length],
    };
  }

  connect() {
    if (this.disposed || this.finished) return;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const id = encodeURIComponent(this.runId);
    const socket = new WebSocket(`${scheme}//${location.host}/api/runs/${id}/ws`);
    this.socket = socket;
    socket.onmessage = (event) => this.receive(JSON.parse(event.data));
    socket.onclose = (event) => socket === this.socket && this.closed(event.code);
  }

  closed(code) {
    this.socket = null;
    if (this.disposed || this.finished) return;
    if (CLOSED_FOR_GOOD.has(code)) {
      this.showNote(code === 4404 ? "This run is not known here. It may have been deleted." : "");
      return;
    }
    const wait = Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** this.retries) * (0.75 + Math.random() / 2);
    this.retries += 1;
    this.showNote(
      code === 4429
        ? "Too many people watch this run at the moment. Trying again…"
        : "The connection was lost; the run goes on. Reconnecting…",
    );
    this.retryTimer = setTimeout(() => this.connect(), wait);
  }

  showNote(text) {
    setText(this.note, text);
    this.note.hidden = !text;
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
    this.showNote("");
    if (message.kind === "snapshot") this.takeSnapshot(message);
    if (!this.model) return;
    this.skew = message.now_s - performance.now() / 1000;
    this.takeChanges(message);
    this.tick();
    if (message.finished) this.finish(message.status);
  }

  takeSnapshot(message) {
    this.model = { ...message, agents: new Map(message.agents.map((agent) => [agent.agent, agent])) };
    const look = this.look();
    for (const agent of message.agents) {
      const card = this.cards.get(agent.agent) ?? new Card(this.grid, agent, look.phaseColour(agent.phase));
      this.cards.set(agent.agent, card);
      card.clear();
    }
  }

  takeChanges(message) {
    for (const change of message.agents ?? []) {
      const agent = { ...this.model.agents.get(change.agent), ...change };
      this.model.agents.set(change.agent, agent);
      this.cards.get(change.agent).update(agent);
    }
    for (const { agent, restart, text } of message.texts ?? []) {
      const card = this.cards.get(agent);
      if (restart) card.clear();
      card.append(text);
    }
    if (message.say) setText(this.say, message.say);
    if (message.status) this.model.status = message.status;
  }

  now() {
    return this.finished ? this.model.now_s : this.skew + performance.now() / 1000;
  }

  tick() {
    if (!this.model) return;
    const now = this.now();
    const started = this.model.status !== "queued";
    const agents = [...this.model.agents.values()];
    for (const card of this.cards.values()) card.tick(now);
    const settled = agents.filter((agent) => FINAL.has(agent.state)).length;
    setText(this.clock, started ? duration(Math.max(0, now)) : "");
    this.bar.style.width = `${(100 * settled) / agents.length}%`;
    document.title = `● ${settled}/${agents.length} ${this.data.topic} – Gantry`;
    if (started) this.gantt.show({ run_id: this.runId, now_s: now, phases: this.model.phases, agents });
  }

  finish(status) {
    this.model.now_s = this.now();
    this.finished = true;
    clearInterval(this.ticker);
    this.tick();
    const word = status === "done" || status === "degraded" ? "✓ Done" : status === "failed" ? "✕ Failed" : "■ Stopped";
    document.title = `${word} – ${this.data.topic} – Gantry`;
    this.setTriggerValue("finished", status);
  }

  themeChanged() {
    if (!this.model) return;
    const look = this.look();
    for (const card of this.cards.values()) {
      card.root.style.setProperty("--phase", look.phaseColour(card.agent.phase));
    }
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
  view.themeChanged();
  return view.dispose;
}
