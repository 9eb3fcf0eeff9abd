// A stage without a browser for moving.js: elements that remember, a pen that counts. Reads the data of a figure from
// standard input, sets the values named on the command line, and prints what was painted and written.
const data = require("fs").readFileSync(0, "utf8"), [script, set] = process.argv.slice(2);
const counts = {}, frames = [], listeners = {};
const pen = new Proxy({}, {
  get: (kept, name) => name in kept ? kept[name] : () => {
    counts[name] = (counts[name] ?? 0) + 1;
    return { addColorStop() {} };
  },
});
const values = { turned: 0, tilted: 15, arrows: 0, l: 2, m: 1, basis: "real", ...JSON.parse(set) };
const element = (name, more) => ({ name, dataset: {}, addEventListener() {}, ...more });
const inputs = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, element(name, { value })]));
const canvas = element("canvas", { clientWidth: 300, width: 0, height: 0, getContext: () => pen });
const cells = JSON.parse(data).values.map((_, number) => element("cell", { dataset: { values: number } }));
const figure = element("figure", {
  querySelector: (what) => what.startsWith("script") ? { textContent: data } : inputs[what.slice(6, -1)] ?? element("spin"),
  querySelectorAll: (what) => what === "canvas" ? [canvas] : what === "[data-values]" ? cells : [],
  addEventListener: (event, listener) => { listeners[event] = listener; },
});
Object.assign(globalThis, {
  document: { currentScript: { closest: () => figure } },
  devicePixelRatio: 2,
  matchMedia: () => ({ matches: true }),
  requestAnimationFrame: (frame) => frames.push(frame),
  ResizeObserver: class { constructor(seen) { this.seen = seen; } observe() { this.seen(); } },
  IntersectionObserver: class { observe() {} },
});
(0, eval)(require("fs").readFileSync(script, "utf8"));
for (const input of Object.values(inputs)) listeners.input({ target: { name: input.name, value: values[input.name] } });
while (frames.length) frames.shift()(0);
console.log(JSON.stringify({ counts, side: canvas.width, cells: cells.map((cell) => cell.textContent) }));
