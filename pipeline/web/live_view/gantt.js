// Draws the live Gantt with Plotly: a sequential strip above one row per agent, on one axis.

const SEGMENT_LOOK = {
  waiting: null, // the empty space before a bar says it
  admission: { colour: "gray", opacity: 0.45 },
  backoff: { colour: "orange", opacity: 0.9, pattern: "/" },
  first_token: { opacity: 0.45 },
  generation: { opacity: 1 },
  tools: { opacity: 0.85, pattern: "\\" },
};
const SEGMENT_WORDS = {
  admission: "waiting for admission",
  backoff: "backing off",
  first_token: "time to first token",
  generation: "generation",
  tools: "tools",
};
const REDRAW_MS = 250;

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
    this.timer = 0;
    this.disposed = false;
    this.drawKey();
  }

  drawKey() {
    for (const [kind, word] of Object.entries(SEGMENT_WORDS)) {
      const item = document.createElement("span");
      const swatch = document.createElement("i");
      swatch.dataset.kind = kind;
      item.append(swatch, word);
      this.key.append(item);
    }
  }

  // At most four drawings a second, however often it is asked for.
  show(model) {
    this.model = model;
    if (this.timer || this.disposed) return;
    const wait = Math.max(0, this.lastDraw + REDRAW_MS - performance.now());
    this.timer = setTimeout(() => {
      this.timer = 0;
      requestAnimationFrame(() => this.draw());
    }, wait);
  }

  draw() {
    if (!this.plotly || !this.model || this.disposed || document.hidden) return;
    this.lastDraw = performance.now();
    const look = this.look();
    this.plotly.react(this.plot, traces(this.model, look), layout(this.model, look, this.plot), {
      displayModeBar: false,
      responsive: true,
    });
  }

  dispose() {
    this.disposed = true;
    clearTimeout(this.timer);
    if (this.plotly) this.plotly.purge(this.plot);
  }
}

function traces(model, look) {
  const phases = new Map(model.phases.map((phase) => [phase, { strip: emptyBars(), rows: emptyBars() }]));
  let end = 0;
  for (const agent of model.agents) {
    const colour = look.phaseColour(agent.phase);
    const bars = phases.get(agent.phase);
    let service = 0;
    for (const span of agent.spans) {
      const shape = SEGMENT_LOOK[span.segment];
      if (!shape) continue;
      const until = span.end_s ?? model.now_s;
      addBar(bars.rows, agent.title, span.start_s, until, shape.colour ? look[shape.colour] : colour, shape);
      bars.rows.customdata.push(SEGMENT_WORDS[span.segment]);
      if (span.in_service) service += until - span.start_s;
    }
    if (service > 0) {
      addBar(bars.strip, "Sequential", end, end + service, colour, { opacity: 1 });
      bars.strip.customdata.push(agent.title);
      end += service;
    }
  }
  model.sequential_s = end;
  return [...phases].flatMap(([phase, bars]) => [
    trace(phase, bars.strip, "y2", look, false),
    trace(phase, bars.rows, "y", look, true),
  ]);
}

const emptyBars = () => ({ y: [], base: [], x: [], colour: [], opacity: [], pattern: [], customdata: [] });

function addBar(bars, lane, start, end, colour, shape) {
  bars.y.push(lane);
  bars.base.push(start);
  bars.x.push(Math.max(0, end - start));
  bars.colour.push(colour);
  bars.opacity.push(shape.opacity);
  bars.pattern.push(shape.pattern ?? "");
}

function trace(phase, bars, yaxis, look, inLegend) {
  const name = phase.charAt(0).toUpperCase() + phase.slice(1);
  return {
    type: "bar",
    orientation: "h",
    name,
    legendgroup: phase,
    showlegend: inLegend,
    y: bars.y,
    base: bars.base,
    x: bars.x,
    yaxis,
    customdata: bars.customdata,
    width: yaxis === "y2" ? 0.9 : 0.62,
    hovertemplate: `%{y}: %{customdata}<br>%{base:.1f} s, for %{x:.1f} s<extra>${name}</extra>`,
    marker: {
      color: bars.colour,
      opacity: bars.opacity,
      cornerradius: 3,
      line: { width: yaxis === "y2" ? 1 : 0, color: look.background },
      pattern: { shape: bars.pattern, fillmode: "overlay", fgcolor: look.background, size: 5, solidity: 0.35 },
    },
  };
}

function layout(model, look, plot) {
  const narrow = plot.clientWidth < 620;
  const longest = Math.max(model.now_s, model.sequential_s, 1) * 1.02;
  const axis = { fixedrange: true, showgrid: false, zeroline: false, tickfont: { color: look.text } };
  return {
    uirevision: model.run_id,
    barmode: "overlay",
    paper_bgcolor: "transparent",
    plot_bgcolor: "transparent",
    font: { family: look.font, color: look.text, size: narrow ? 10 : 12 },
    margin: { l: narrow ? 104 : 172, r: 12, t: narrow ? 8 : 34, b: 28 },
    showlegend: !narrow,
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, itemclick: false, itemdoubleclick: false },
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
    yaxis: {
      ...axis,
      domain: [0, 0.86],
      autorange: false,
      range: [model.agents.length - 0.5, -0.5],
      categoryorder: "array",
      categoryarray: model.agents.map((agent) => agent.title),
      tickmode: "array",
      tickvals: model.agents.map((agent) => agent.title),
      ticktext: model.agents.map((agent) => (narrow ? shortened(agent.title) : agent.title)),
    },
    yaxis2: { ...axis, domain: [0.9, 1], range: [-0.5, 0.5], categoryarray: ["Sequential"] },
    shapes: [
      {
        type: "line",
        xref: "x",
        yref: "paper",
        x0: model.now_s,
        x1: model.now_s,
        y0: 0,
        y1: 0.86,
        line: { color: look.primary, width: 1.5, dash: "dot" },
      },
    ],
  };
}

const shortened = (title) => (title.length > 16 ? `${title.slice(0, 15)}…` : title);
