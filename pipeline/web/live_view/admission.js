// The admission panel: what the gates of this process do now. Closed until somebody opens it.

class AdmissionPanel {
  // `isFresh` says whether the token at hand still opens the route, and asks for another if not.
  constructor(parent, isFresh) {
    this.root = element("details", "gl-admission", parent);
    this.root.hidden = true;
    const head = element("summary", "", this.root);
    element("b", "", head, "Admission");
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
    const gates = this.message.gates.map((gate) => this.gate(gate));
    this.body.replaceChildren(...gates);
  }

  gate({ title, facts, why, waiters, more }) {
    const made = element("section", "gl-gate", null);
    element("h5", "", made, title);
    const list = element("dl", "", made);
    for (const [name, value] of facts) {
      const fact = element("div", "", list);
      element("dt", "", fact, name);
      element("dd", "", fact, value);
    }
    if (why) element("p", "", made, sentence(why));
    if (waiters.length) {
      const queue = element("ol", "", made);
      for (const waiter of waiters) element("li", "", queue, waiter);
    }
    if (more > 0) element("p", "", made, `and ${more} more`);
    return made;
  }
}
