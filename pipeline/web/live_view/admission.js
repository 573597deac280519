// The admission panel: what the gates of this process do now, or those of a whole team.
// Closed until somebody opens it.

const WORKER_HEAD = ["Worker", "Runs", "Calls", "Last heard"];

class AdmissionPanel {
  // `isFresh` says whether the token at hand still opens the route, and asks for another if not.
  constructor(parent, isFresh) {
    this.root = element("details", "gl-admission", parent);
    this.root.hidden = true;
    const head = element("summary", "", this.root);
    element("h2", "", head, "Calls and limits");
    this.say = element("span", "", head);
    this.body = element("div", "gl-gates", this.root);
    this.json = element("a", "gl-json", this.root, "As JSON");
    this.json.target = "_blank";
    this.json.rel = "noopener";
    this.json.addEventListener("click", (event) => {
      if (isFresh()) return;
      event.preventDefault();
      this.wanted = true;
    });
    this.root.addEventListener("toggle", () => this.draw());
  }

  takeToken(token) {
    this.json.hidden = !token;
    this.json.href = `/api/admission?token=${encodeURIComponent(token)}`;
    if (!this.wanted) return;
    this.wanted = false;
    window.open(this.json.href, "_blank", "noopener"); // what the click asked for
  }

  take(message) {
    this.message = message;
    this.root.hidden = false;
    setText(this.say, message.summary);
    this.draw();
  }

  draw() {
    if (!this.root.open || !this.message) return;
    const { team, gates } = this.message;
    const drawn = gates.filter((gate) => !gate.others).map((gate) => this.gate(gate, "h3"));
    if (team) drawn.unshift(this.team(team));
    const others = gates.filter((gate) => gate.others);
    if (others.length) drawn.push(this.others(others));
    this.body.replaceChildren(...drawn);
  }

  others(gates) {
    const made = element("section", "gl-others", null);
    element("h3", "", made, "Other runs");
    made.append(...gates.map((gate) => this.gate(gate, "h4")));
    return made;
  }

  team({ facts, workers, note }) {
    const made = element("section", "gl-gate", null);
    element("h3", "", made, "The team");
    this.facts(made, facts);
    if (workers.length) {
      const table = element("table", "gl-workers", made);
      const head = element("tr", "", element("thead", "", table));
      for (const word of WORKER_HEAD) element("th", "", head, word).scope = "col";
      const body = element("tbody", "", table);
      for (const worker of workers) this.worker(body, worker);
    }
    if (note) element("p", "", made, note);
    return made;
  }

  worker(body, { id, runs, calls, heard, silent }) {
    const row = element("tr", "", body);
    row.dataset.worker = id;
    row.dataset.silent = silent;
    element("th", "", row, id).scope = "row";
    for (const value of [runs, calls, silent ? `silent, ${heard}` : heard]) element("td", "", row, value);
  }

  facts(parent, facts) {
    const list = element("dl", "", parent);
    for (const [name, value] of facts) {
      const fact = element("div", "", list);
      fact.dataset.fact = name;
      element("dt", "", fact, name);
      element("dd", "", fact, value);
    }
  }

  gate({ title, facts, why, waiters, more }, heading) {
    const made = element("section", "gl-gate", null);
    element(heading, "", made, title);
    this.facts(made, facts);
    if (why) element("p", "", made, sentence(why));
    if (waiters.length) {
      const queue = element("ol", "", made);
      for (const waiter of waiters) element("li", "", queue, waiter);
    }
    if (more > 0) element("p", "", made, `and ${more} more`);
    return made;
  }
}
