// Turns an agent's JSON, while it streams, into lines a person can read.
// Append-only: each piece of JSON gives the text to append, never a change to what was shown.

const LABEL = (key) => {
  const words = key.replace(/_/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
};
const ESCAPES = { n: "\n", t: " ", r: "", b: "", f: "" };

class JsonText {
  constructor() {
    this.plain = null; // null: not decided yet; true: this is not JSON, show it as it is
    this.stack = [];
    this.inString = false;
    this.isKey = false;
    this.expectKey = false;
    this.escape = ""; // what has been read of an escape sequence
    this.key = "";
    this.shown = false;
  }

  push(piece) {
    let out = "";
    for (const char of piece) out += this.plain ? char : this.read(char);
    return out;
  }

  read(char) {
    if (this.plain === null) {
      if (/\s/.test(char)) return "";
      this.plain = char !== "{" && char !== "[";
      if (this.plain) return char;
    }
    return this.inString ? this.readString(char) : this.readStructure(char);
  }

  readStructure(char) {
    switch (char) {
      case "{":
        this.stack.push("{");
        this.expectKey = true;
        return "";
      case "[":
        this.stack.push("[");
        this.expectKey = false;
        return "";
      case "}":
      case "]":
        this.stack.pop();
        this.expectKey = false;
        return "";
      case ",":
        this.expectKey = this.stack.at(-1) === "{";
        return "";
      case '"':
        this.inString = true;
        this.isKey = this.expectKey;
        this.key = "";
        return !this.isKey && this.stack.at(-1) === "[" ? this.line("• ") : "";
      case ":":
        return "";
      default:
        return /\s/.test(char) ? "" : this.scalar(char);
    }
  }

  scalar(char) {
    this.shown = true;
    return char;
  }

  readString(char) {
    if (this.escape) return this.readEscape(char);
    if (char === "\\") {
      this.escape = "\\";
      return "";
    }
    if (char !== '"') return this.inside(char);
    this.inString = false;
    if (!this.isKey) return "";
    this.expectKey = false;
    return this.line(`${LABEL(this.key)}: `);
  }

  readEscape(char) {
    this.escape += char;
    if (this.escape[1] === "u" && this.escape.length < 6) return "";
    const sequence = this.escape;
    this.escape = "";
    if (sequence[1] !== "u") return this.inside(ESCAPES[sequence[1]] ?? sequence[1]);
    const code = Number.parseInt(sequence.slice(2), 16);
    return Number.isNaN(code) ? "" : this.inside(String.fromCharCode(code));
  }

  inside(char) {
    if (this.isKey) {
      this.key += char;
      return "";
    }
    return this.scalar(char);
  }

  line(text) {
    const before = this.shown ? "\n" : "";
    this.shown = true;
    return before + text;
  }
}
