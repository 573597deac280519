// Draws the live Gantt with Plotly: a sequential strip above one row per agent, on one axis.

// Words and looks are those of the finished chart (pipeline/views/bars.py, gantt.py).
const SEGMENT_LOOK = {
  waiting: null, // the empty space before a bar says it
  admission: { colour: "gray", opacity: 0.75 },
  backoff: { colour: "gray", opacity: 0.8, pattern: "/" },
  first_token: { opacity: 0.42 },
  generation: { opacity: 1 },
  tools: { opacity: 0.75, pattern: "x" },
};
const DISCARDED_LOOK = { colour: "red", opacity: 0.55, pattern: "\\" };
const SEGMENT_WORDS = {
  admission: "waiting for admission",
  backoff: "backing off",
  first_token: "time to first token",
  generation: "generation",
  tools: "tools",
  discarded: "discarded",
};
const IN_KEY = ["admission", "backoff", "first_token", "tools", "discarded"]; // colours say the rest
const SEQUENTIAL = "Sequential<br><i>replayed</i>"; // measured only of a sequential run that has ended
const ROWS_SHARE = 0.85; // of the height; the strip stands above
const SOLID = { opacity: 1 };
const VOID = { opacity: 0.4 };
const TOOLS_HEIGHT = 0.6; // of a row
const TOOL_FILL = 0.72; // of a call's share of it
const REDRAW_MS = 250; // at most four drawings a second …
const REDRAW_SHARE = 6; // … and fewer where one takes long: a sixth of the time at most

// `0.4 s`, `2 min 05 s`, `7 h 58 min`, as everywhere on the page.
function duration(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const whole = Math.round(seconds);
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

// The same without tenths, for what is counted on the screen.
function wholeSeconds(seconds) {
  return seconds < 60 ? `${Math.floor(seconds)} s` : duration(seconds);
}

let plotlyLoading = null;

// Loads the bundled plotly once per page; 4.8 MB are parsed while nobody waits for them.
function loadPlotly(url) {
  plotlyLoading ??= new Promise((resolve, reject) => {
    if (window.Plotly) return resolve(window.Plotly);
    const script = document.createElement("script");
    script.src = url;
    script.async = true;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      plotlyLoading = null;
      reject(new Error("plotly did not load"));
    };
    document.head.append(script);
  });
  return plotlyLoading;
}

class Gantt {
  constructor(plot, key, look) {
    this.plot = plot;
    this.key = key;
    this.look = look; // () => colours and font of the theme now
    this.plotly = null;
    this.lastDraw = -Infinity;
    this.cost = 0;
    this.timer = 0;
    this.disposed = false;
  }

  begin(runId, plan) {
    this.runId = runId;
    this.plan = plan;
    this.rows = new Map();
    this.kinds = new Set();
    this.colours = new Map(plan.phases.map((phase) => [phase.name, phase.colour]));
    this.drawKey();
    const rows = String(plan.agents.length);
    if (this.plot.style.getPropertyValue("--rows") === rows) return;
    this.plot.style.setProperty("--rows", rows);
    // the plan has grown and the chart with it; a hidden one is measured anew when it is shown
    if (this.lastDraw > 0) this.plotly.Plots.resize(this.plot).catch(() => undefined);
  }

  // Rows come whole, but only those that changed.
  take(news) {
    for (const row of news.rows) {
      this.rows.set(row.agent, row);
      for (const bar of row.bars) this.met(bar.used ? bar.segment : "discarded");
    }
    this.gaps = news.gaps;
    this.bound = news.bound_s;
  }

  // The key explains what has occurred.
  met(kind) {
    if (this.kinds.has(kind)) return;
    this.kinds.add(kind);
    if (IN_KEY.includes(kind)) this.drawKey();
  }

  drawKey() {
    this.key.replaceChildren();
    for (const [phase, colour] of this.colours) this.keyItem(titled(phase), "phase", colour);
    for (const kind of IN_KEY) if (this.kinds.has(kind)) this.keyItem(SEGMENT_WORDS[kind], kind);
  }

  keyItem(word, kind, colour) {
    const item = document.createElement("span");
    const swatch = document.createElement("i");
    swatch.dataset.kind = kind;
    if (colour) swatch.style.setProperty("--swatch", colour);
    item.append(swatch, word);
    this.key.append(item);
  }

  // At most four drawings a second, however often it is asked for.
  show(now) {
    this.now = now;
    if (this.timer || this.disposed) return;
    const wait = Math.max(0, this.lastDraw + Math.max(REDRAW_MS, REDRAW_SHARE * this.cost) - performance.now());
    this.timer = setTimeout(() => {
      this.timer = 0;
      requestAnimationFrame(() => this.draw());
    }, wait);
  }

  draw() {
    if (!this.plotly || !this.plan || this.now === undefined || this.disposed || document.hidden) return;
    const begun = performance.now();
    const look = this.look();
    const chart = { ...this, now: Math.max(0, this.now) };
    const { bars, end } = collect(chart, look);
    this.plotly.react(this.plot, bars, layout(chart, end, look), { displayModeBar: false, responsive: true });
    this.lastDraw = performance.now();
    this.cost = this.lastDraw - begun;
  }

  dispose() {
    this.disposed = true;
    clearTimeout(this.timer);
    if (this.plotly) this.plotly.purge(this.plot);
  }
}

// All bars as three Plotly traces, and where the sequential strip ends.
function collect(chart, look) {
  const strip = newBars();
  const rows = newBars();
  const tools = { ...newBars(), offset: [], width: [] };
  let end = 0;
  for (const agent of chart.plan.agents) {
    const row = chart.rows.get(agent.name);
    const colour = chart.colours.get(agent.phase);
    for (const bar of row.bars) {
      const shape = SEGMENT_LOOK[bar.segment];
      if (!shape) continue;
      const words = bar.used ? SEGMENT_WORDS[bar.segment] : `${SEGMENT_WORDS[bar.segment]}, discarded`;
      const drawn = bar.used ? shape : DISCARDED_LOOK;
      addBar(rows, agent.label, bar.start_s, bar.end_s ?? chart.now, look[drawn.colour] ?? colour, drawn, words);
    }
    for (const tool of row.tools) addTool(tools, agent.label, tool, chart.now, tool.failed ? look.red : colour);
    const grows = row.growing_since_s == null ? 0 : Math.max(0, chart.now - row.growing_since_s);
    const service = row.service_s + grows;
    if (service > 0) addBar(strip, SEQUENTIAL, end, end + service, colour, SOLID, agent.title);
    end += service;
  }
  return { bars: [trace(strip, "y2", look), trace(rows, "y", look), toolTrace(tools, look)], end };
}

const newBars = () => ({ y: [], base: [], x: [], colour: [], opacity: [], pattern: [], words: [] });

function addBar(bars, lane, start, end, colour, shape, words) {
  bars.y.push(lane);
  bars.base.push(start);
  bars.x.push(Math.max(0, end - start));
  bars.colour.push(colour);
  bars.opacity.push(shape.opacity);
  bars.pattern.push(shape.pattern ?? "");
  bars.words.push(words);
}

// One call of a tool, over the tools piece of its row; side by side with those it ran beside.
function addTool(bars, lane, tool, now, colour) {
  const height = TOOLS_HEIGHT / tool.lanes;
  const words = tool.failed ? "tool call, failed" : "tool call";
  addBar(bars, lane, tool.start_s, tool.end_s ?? now, colour, tool.used ? SOLID : VOID, words);
  bars.offset.push(height * tool.lane - TOOLS_HEIGHT / 2);
  bars.width.push(height * TOOL_FILL);
}

function toolTrace(bars, look) {
  const marker = { color: bars.colour, opacity: bars.opacity, cornerradius: 1, line: { width: 0 } };
  return { ...trace(bars, "y", look), offset: bars.offset, width: bars.width, marker };
}

function trace(bars, yaxis, look) {
  const strip = yaxis === "y2";
  return {
    type: "bar",
    orientation: "h",
    y: bars.y,
    base: bars.base,
    x: bars.x,
    yaxis,
    customdata: bars.words,
    width: strip ? 0.9 : 0.66,
    hovertemplate: "%{y}: %{customdata}<br>from %{base:.1f} s, for %{x:.1f} s<extra></extra>",
    marker: {
      color: bars.colour,
      opacity: bars.opacity,
      cornerradius: 3,
      line: { width: strip ? 1 : 0, color: look.background },
      pattern: { shape: bars.pattern, fillmode: "replace", size: 5, solidity: 0.45 },
    },
  };
}

function layout(chart, stripEnd, look) {
  const narrow = chart.plot.clientWidth < 560;
  const longest = Math.max(chart.now, stripEnd, 1) * 1.02;
  const lanes = { fixedrange: true, showgrid: false, zeroline: false };
  const labels = chart.plan.agents.map((agent) => agent.label);
  return {
    uirevision: chart.runId,
    barmode: "overlay",
    showlegend: false,
    paper_bgcolor: "transparent",
    plot_bgcolor: "transparent",
    font: { family: look.font, color: look.text, size: 11 },
    margin: { l: narrow ? 112 : 128, r: 14, t: 4, b: 22 },
    hoverlabel: { bgcolor: look.surface, bordercolor: look.border, font: { color: look.text, family: look.font } },
    xaxis: {
      range: [0, longest],
      ticksuffix: " s",
      fixedrange: true,
      gridcolor: look.border,
      zeroline: false,
      anchor: "y",
      nticks: narrow ? 5 : 10,
    },
    yaxis: { ...lanes, domain: [0, ROWS_SHARE], range: [labels.length - 0.5, -0.5], type: "category", categoryarray: labels, tickvals: labels },
    yaxis2: { ...lanes, domain: [ROWS_SHARE + 0.03, 1], range: [-0.5, 0.5], type: "category", categoryarray: [SEQUENTIAL] },
    shapes: [
      ...chart.gaps.map((gap) => ({
        ...{ type: "line", xref: "x", yref: "paper", x0: gap.at_s, x1: gap.at_s, y0: 0, y1: ROWS_SHARE },
        line: { color: look.gray, width: 2, dash: "dash" },
      })),
      {
        ...{ type: "line", xref: "x", yref: "paper", x0: chart.now, x1: chart.now, y0: 0, y1: ROWS_SHARE },
        line: { color: look.primary, width: 1.5, dash: "dot" },
      },
    ],
    annotations: gapLabels(chart, look),
  };
}

// The label of a pause stands right of it, in the row with the most room, as in the finished chart.
function gapLabels(chart, look) {
  const used = new Set();
  return chart.gaps.map((gap) => {
    const free = chart.plan.agents.filter((agent) => !used.has(agent));
    const room = (agent) => {
      const bars = (chart.rows.get(agent.name)?.bars ?? []).filter((bar) => bar.segment !== "waiting");
      const later = bars.filter((bar) => (bar.end_s ?? chart.now) > gap.at_s);
      return Math.min(...later.map((bar) => Math.max(0, bar.start_s - gap.at_s)));
    };
    const lanes = free.length ? free : chart.plan.agents;
    const lane = lanes.reduce((best, agent) => (room(agent) > room(best) ? agent : best));
    used.add(lane);
    return {
      ...{ x: gap.at_s, y: lane.label, xref: "x", yref: "y", xanchor: "left", yanchor: "middle", xshift: 9 },
      ...{ text: `paused ${duration(gap.duration_s)}`, showarrow: false, font: { size: 11, color: look.text } },
    };
  });
}

const titled = (word) => word.charAt(0).toUpperCase() + word.slice(1);
