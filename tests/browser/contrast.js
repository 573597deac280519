/* Texts on the page that are harder to read than WCAG 2.2 AA allows (1.4.3): 4.5:1, or 3:1 when
   large. Disabled controls are exempt. Gives [{text, ratio}]. */
() => {
  // A canvas understands every notation a style can have (oklab while a transition goes on).
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const parse = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const luminance = (rgb) => {
    const [r, g, b] = rgb
      .map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (light + 0.05) / (dark + 0.05);
  };
  const app = document.querySelector("[data-testid=stApp]");
  const ground = parse(getComputedStyle(app).backgroundColor);
  const found = [];
  const walker = document.createTreeWalker(app, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    const box = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    const hidden = box.width < 2 || box.height < 2 || style.visibility === "hidden";
    const disabled =
      element.closest(":disabled, [aria-disabled=true]") ||
      element.closest("label")?.querySelector(":disabled") ||
      element.closest("label")?.parentElement.querySelector(":disabled"); // a field beside its label
    if (!text || hidden || disabled || element.closest("style, script")) continue;
    const layers = [];
    let opacity = 1;
    for (let at = element; at && at !== app; at = at.parentElement) {
      layers.unshift(parse(getComputedStyle(at).backgroundColor));
      opacity *= Number(getComputedStyle(at).opacity);
    }
    const behind = layers.reduce((below, layer) => over(layer, below), ground);
    const ink = parse(element.closest("svg") ? style.fill : style.color);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (Number(style.fontWeight) >= 700 && size >= 18.66);
    const reached = ratio(over([ink[0], ink[1], ink[2], ink[3] * opacity], behind), behind);
    if (reached < (large ? 3 : 4.5))
      found.push({ text: text.slice(0, 60), ratio: Number(reached.toFixed(2)) });
  }
  return found;
}
