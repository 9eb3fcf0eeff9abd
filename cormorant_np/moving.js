// Figures to be turned by mouse, touch or keyboard; moving.py puts this file behind each of them. Nothing is loaded.
//
// x points to the right, y up, z to the viewer. A figure knows two angles: it is turned about the vertical axis, then
// tilted about the horizontal one. Everything is drawn as in a theatre: what is far away first.
(() => {
  "use strict";
  const figure = document.currentScript.closest("figure");
  const data = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
  const find = (name) => figure.querySelector(`[name=${name}]`);
  const view = { turned: 0, tilted: 15 }; // degrees
  const spin = find("spin");

  const radians = (degrees) => (degrees * Math.PI) / 180;
  const mix = (a, b, t) => a.map((x, k) => x + t * (b[k] - x));

  function turn([x, y, z], angle) {
    const c = Math.cos(angle), s = Math.sin(angle);
    return [c * x + s * z, y, c * z - s * x];
  }

  function tilt([x, y, z], angle) {
    const c = Math.cos(angle), s = Math.sin(angle);
    return [x, c * y - s * z, c * z + s * y];
  }

  // On the canvas: [x, y, scale], where near things are larger.
  function project(canvas, [x, y, z]) {
    const scale = (0.5 * canvas.width) / data.reach / (1 - z / (5 * data.reach));
    return [canvas.width / 2 + scale * x, canvas.height / 2 - scale * y, scale];
  }

  function polygon(pen, corners, fill) {
    pen.beginPath();
    corners.forEach(([x, y]) => pen.lineTo(x, y));
    pen.closePath();
    pen.fillStyle = pen.strokeStyle = fill;
    pen.lineWidth = 1;
    pen.fill();
    pen.stroke();
  }

  function ball(canvas, pen, place, radius, colour, symbol) {
    const [x, y, scale] = project(canvas, place), r = radius * scale;
    const light = pen.createRadialGradient(x - 0.35 * r, y - 0.4 * r, 0.1 * r, x, y, r);
    light.addColorStop(0, "white");
    light.addColorStop(0.35, colour);
    light.addColorStop(1, colour);
    pen.beginPath();
    pen.arc(x, y, r, 0, 2 * Math.PI);
    pen.fillStyle = light;
    pen.fill();
    pen.lineWidth = 0.02 * scale;
    pen.strokeStyle = "#333333";
    pen.stroke();
    write(pen, symbol, [x, y, scale], 0.3, symbol === "H" ? "black" : "white");
  }

  function write(pen, text, [x, y, scale], size, colour) {
    pen.fillStyle = colour;
    pen.font = `${size * scale}px sans-serif`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(text, x, y);
  }

  function stick(canvas, pen, start, end, width, colour) {
    const [a, b, scale] = project(canvas, start), [c, d] = project(canvas, end);
    pen.beginPath();
    pen.moveTo(a, b);
    pen.lineTo(c, d);
    pen.lineWidth = width * scale;
    pen.lineCap = "butt";
    pen.strokeStyle = colour;
    pen.stroke();
  }

  // A shaft and a cone, which is a disc and a triangle to the eye.
  function arrow(canvas, pen, start, end, colour) {
    const length = Math.hypot(...end.map((x, k) => x - start[k]));
    const neck = mix(end, start, Math.min(0.3 / length, 0.6));
    stick(canvas, pen, start, neck, 0.09, colour);
    const [x, y] = project(canvas, end), [u, v, scale] = project(canvas, neck);
    const r = 0.14 * scale, along = Math.hypot(x - u, y - v) || 1;
    const side = [(-r * (y - v)) / along, (r * (x - u)) / along];
    polygon(pen, [[u + side[0], v + side[1]], [x, y], [u - side[0], v - side[1]]], colour);
    const squeeze = Math.abs(neck[2] - end[2]) / Math.hypot(...end.map((w, k) => w - neck[k]));
    pen.beginPath();
    pen.ellipse(u, v, r, r * squeeze, Math.atan2(side[1], side[0]), 0, 2 * Math.PI);
    pen.fill();
  }

  function paintInOrder(things) {
    things.sort((a, b) => a.depth - b.depth).forEach((thing) => thing.paint());
  }

  // The arrows at any angle lie between those of the two nearest turns that were computed.
  function vectorsAt(turns) {
    const k = (view.turned / 360) * turns.length, t = k - Math.floor(k);
    const now = turns[Math.floor(k) % turns.length], next = turns[Math.ceil(k) % turns.length];
    return now.map((vector, i) => mix(vector, next[i], t));
  }

  function drawMolecule(panel, canvas, pen) {
    const camera = radians(view.tilted);
    const places = data.atoms.map((atom) => tilt(turn(atom.place, radians(view.turned)), camera));
    const things = data.bonds.map(([i, j]) => ({
      depth: Math.min(places[i][2], places[j][2]),
      paint: () => stick(canvas, pen, places[i], places[j], 0.16, "#9a9a9a"),
    }));
    data.atoms.forEach(({ radius, colour, symbol }, i) =>
      things.push({ depth: places[i][2], paint: () => ball(canvas, pen, places[i], radius, colour, symbol) }));
    const { scale, longest, turns } = panel.arrows[find("arrows")?.value ?? 0];
    vectorsAt(turns).forEach((vector, i) => {
      const size = Math.hypot(...vector), length = Math.min(scale * size, longest);
      if (length < 0.05) return;
      const direction = tilt(vector, camera).map((x) => x / size);
      const start = places[i].map((x, k) => x + data.atoms[i].radius * direction[k]);
      const end = start.map((x, k) => x + length * direction[k]);
      things.push({ depth: (start[2] + end[2]) / 2, paint: () => arrow(canvas, pen, start, end, "#c8388f") });
    });
    paintInOrder(things);
  }

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  // A closed surface: its distance from the origin in every direction of a grid, and the numbers of its colours.
  function drawSurface(panel, canvas, pen) {
    const l = find("l"), m = find("m"), [rows, columns] = data.grid;
    [m.min, m.max] = [-l.value, l.value];
    const shown = data.surfaces[`${find("basis").value} ${l.value} ${m.value}`];
    const distances = bytes(shown.distance), colours = bytes(shown.colour);
    const points = [...distances].map((distance, k) => {
      const theta = (Math.PI * Math.floor(k / columns)) / (rows - 1), phi = (2 * Math.PI * (k % columns)) / columns;
      const [x, y, z] = [Math.sin(theta) * Math.cos(phi), Math.sin(theta) * Math.sin(phi), Math.cos(theta)];
      const place = [y, z, x].map((a) => (a * distance) / 255);
      return tilt(turn(place, radians(view.turned)), radians(view.tilted));
    });
    const things = [];
    for (let i = 0; i < rows - 1; i++) {
      for (let j = 0; j < columns; j++) {
        const right = (j + 1) % columns;
        const corners = [[i, j], [i, right], [i + 1, right], [i + 1, j]].map(([a, b]) => points[a * columns + b]);
        const [p, q, r, s] = corners, a = r.map((x, k) => x - p[k]), b = s.map((x, k) => x - q[k]);
        const normal = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
        const facing = Math.abs(normal[2] + 0.5 * normal[1] - 0.4 * normal[0]) / (1.2 * Math.hypot(...normal) || 1);
        const [red, green, blue] = data.palette[colours[i * columns + j]].map((x) => x * (0.55 + 0.45 * facing));
        things.push({
          depth: p[2] + q[2] + r[2] + s[2],
          paint: () => polygon(pen, corners.map((x) => project(canvas, x)), `rgb(${red} ${green} ${blue})`),
        });
      }
    }
    drawAxes(canvas, pen, things);
    paintInOrder(things);
  }

  // x, y and z of the functions, which are z, x and y of the canvas, each in pieces that surfaces can hide.
  function drawAxes(canvas, pen, things) {
    [["x", [0, 0, 1]], ["y", [1, 0, 0]], ["z", [0, 1, 0]]].forEach(([name, axis]) => {
      const end = tilt(turn(axis, radians(view.turned)), radians(view.tilted));
      for (let k = 0; k < 10; k++) {
        const [start, stop] = [k / 10, (k + 1) / 10].map((t) => end.map((x) => 1.05 * t * x));
        things.push({ depth: 2 * (start[2] + stop[2]), paint: () => stick(canvas, pen, start, stop, 0.012, "#888888") });
      }
      const paint = () => write(pen, name, project(canvas, end.map((x) => 1.12 * x)), 0.1, "#888888");
      things.push({ depth: 4 * end[2], paint });
    });
  }

  function draw() {
    figure.querySelectorAll("canvas").forEach((canvas, number) => {
      const pen = canvas.getContext("2d"), side = Math.round(canvas.clientWidth * devicePixelRatio);
      if (canvas.width !== side) canvas.width = canvas.height = side;
      pen.clearRect(0, 0, side, side);
      (data.surfaces ? drawSurface : drawMolecule)(data.panels[number], canvas, pen);
    });
    figure.querySelectorAll("[data-values]").forEach((cell) => {
      const values = data.values[cell.dataset.values];
      cell.textContent = values[Math.round((view.turned / 360) * values.length) % values.length];
    });
    for (const name of ["turned", "tilted"]) find(name).value = Math.round(view[name]);
    figure.querySelectorAll("[data-of]").forEach((span) => {
      span.textContent = find(span.dataset.of).value.replace("-", "−") + span.dataset.unit;
    });
  }

  let waiting = false;
  function drawSoon() {
    if (!waiting) requestAnimationFrame(() => { waiting = false; draw(); });
    waiting = true;
  }

  function move(right, down) {
    view.turned = (((view.turned + right) % 360) + 360) % 360;
    view.tilted = Math.max(-90, Math.min(90, view.tilted + down));
    drawSoon();
  }

  let spinning = false, last = 0, visible = true;
  function step(time) {
    if (!spinning) return;
    if (visible) move(0.02 * Math.min(time - last, 100), 0);
    last = time;
    requestAnimationFrame(step);
  }

  function setSpin(on) {
    spinning = on;
    last = performance.now();
    spin.textContent = on ? "stop" : "turn";
    if (on) requestAnimationFrame(step);
  }

  figure.querySelectorAll("canvas").forEach((canvas) => {
    let from = null;
    canvas.addEventListener("pointerdown", (event) => {
      setSpin(false);
      canvas.setPointerCapture(event.pointerId);
      from = [event.clientX, event.clientY];
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!canvas.hasPointerCapture(event.pointerId)) return;
      const to = [event.clientX, event.clientY], degrees = 180 / canvas.clientWidth;
      move(degrees * (to[0] - from[0]), degrees * (to[1] - from[1]));
      from = to;
    });
    new ResizeObserver(drawSoon).observe(canvas);
  });
  figure.addEventListener("input", (event) => {
    const { name, value } = event.target;
    if (name in view) {
      setSpin(false);
      view[name] = Number(value);
    }
    drawSoon();
  });
  spin.addEventListener("click", () => setSpin(!spinning));
  new IntersectionObserver((entries) => { visible = entries.at(-1).isIntersecting; }).observe(figure);
  setSpin(data.spin && !matchMedia("(prefers-reduced-motion: reduce)").matches);
})();
