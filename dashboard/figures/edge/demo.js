const SIDE = 28, BOX = 20, MIN_MS = 10;

function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/* predict() on a row in the module's memory: inputs at the start of the free memory, outputs behind them. */
async function load(module) {
  const { instance } = await WebAssembly.instantiate(bytes(module), {});
  const { memory, predict, __heap_base: base } = instance.exports;
  memory.grow(1);
  const input = base.value, output = input + 4 * SIDE * SIDE;
  return (row) => {
    new Float32Array(memory.buffer, input, row.length).set(row);
    predict(input, output);
    const logits = Array.from(new Float32Array(memory.buffer, output, 10));
    return { logits, microseconds: microseconds(() => predict(input, output)) };
  };
}

/* A browser's clock is coarse: time batches of at least MIN_MS, five times; the fastest ran optimized code. */
function microseconds(call) {
  let calls = 64, best = Infinity;
  const batch = () => {
    const began = performance.now();
    for (let number = 0; number < calls; number++) call();
    return performance.now() - began;
  };
  while (batch() < MIN_MS && calls < 1e6) calls *= 2;
  for (let number = 0; number < 5; number++) best = Math.min(best, batch());
  return (1000 * best) / calls;
}

/* Scales a drawing like an MNIST digit: longer side 20 pixels, center of mass in the middle of 28 x 28. */
function normalized(canvas) {
  const size = canvas.width, pixels = canvas.getContext("2d").getImageData(0, 0, size, size).data;
  let left = size, right = -1, top = size, bottom = -1;
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++)
      if (pixels[4 * (y * size + x)] > 32) {
        left = Math.min(left, x); right = Math.max(right, x);
        top = Math.min(top, y); bottom = Math.max(bottom, y);
      }
  if (right < 0) return null;
  const width = right - left + 1, height = bottom - top + 1, scale = BOX / Math.max(width, height);
  const place = (dx, dy) => {
    const small = new OffscreenCanvas(SIDE, SIDE), context = small.getContext("2d");
    context.imageSmoothingQuality = "high";
    const x = (SIDE - width * scale) / 2 + dx, y = (SIDE - height * scale) / 2 + dy;
    context.drawImage(canvas, left, top, width, height, x, y, width * scale, height * scale);
    const data = context.getImageData(0, 0, SIDE, SIDE).data;
    return Float32Array.from({ length: SIDE * SIDE }, (_, pixel) => data[4 * pixel] / 255);
  };
  let mass = 0, sumX = 0, sumY = 0;
  place(0, 0).forEach((value, pixel) => {
    mass += value; sumX += value * (pixel % SIDE); sumY += value * Math.floor(pixel / SIDE);
  });
  const middle = (SIDE - 1) / 2;
  return place(Math.round(middle - sumX / mass), Math.round(middle - sumY / mass));
}

function shares(logits) {
  const most = Math.max(...logits), powers = logits.map((one) => Math.exp(one - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((one) => one / sum);
}

export default function ({ data, parentElement }) {
  const find = (name) => parentElement.querySelector(name);
  const canvas = find("canvas"), context = canvas.getContext("2d", { willReadFrequently: true });
  const images = bytes(data.images), running = load(data.module);
  let drawing = false, example = -1;
  running.catch((error) => { find(".words").textContent = `The program does not run in this browser: ${error.message}`; });

  const clear = () => {
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
  };
  const classify = async (row, label) => {
    if (!row) return;
    const run = await running, { logits, microseconds } = run(row), sure = shares(logits);
    const digit = logits.indexOf(Math.max(...logits));
    find(".digit").textContent = digit;
    const verdict = label === undefined ? "" : label === digit ? `, correct: test image ${example + 1}` : `; the label is ${label}`;
    find(".words").textContent = `${data.name} predicts ${digit}, softmax ${(100 * sure[digit]).toFixed(1)} %${verdict}.`;
    find(".time").textContent = `${microseconds.toPrecision(3)} µs a call in this browser, the mean of the fastest of five batches`;
    find(".bars").replaceChildren(...sure.map((share, number) => {
      const bar = document.createElement("div");
      bar.className = "bar";
      bar.innerHTML = '<span></span><div class="track"><div class="fill"></div></div><span></span>';
      bar.firstChild.textContent = number;
      bar.lastChild.textContent = `${(100 * share).toFixed(1)} %`;
      bar.querySelector(".fill").style.width = `${100 * share}%`;
      return bar;
    }));
  };
  const at = (event) => {
    const box = canvas.getBoundingClientRect(), scale = canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  };
  canvas.onpointerdown = (event) => {
    if (example >= 0) { clear(); example = -1; }
    drawing = true;
    canvas.setPointerCapture(event.pointerId);
    context.beginPath();
    context.moveTo(...at(event));
  };
  canvas.onpointermove = (event) => {
    if (!drawing) return;
    Object.assign(context, { lineWidth: 20, lineCap: "round", lineJoin: "round", strokeStyle: "#fff" });
    context.lineTo(...at(event));
    context.stroke();
  };
  canvas.onpointerup = () => { drawing = false; classify(normalized(canvas)); };
  canvas.onpointercancel = canvas.onpointerup;
  find(".clear").onclick = () => {
    clear();
    example = -1;
    find(".digit").textContent = "–";
    find(".words").textContent = "Draw a digit from 0 to 9, or take a test image.";
    find(".time").textContent = "";
    find(".bars").replaceChildren();
  };
  let next = 0;
  find(".example").onclick = () => {
    example = next;
    next = (next + 1) % data.labels.length;
    const pixels = images.subarray(example * SIDE * SIDE, (example + 1) * SIDE * SIDE), step = canvas.width / SIDE;
    clear();
    pixels.forEach((value, pixel) => {
      context.fillStyle = `rgb(${value} ${value} ${value})`;
      context.fillRect((pixel % SIDE) * step, Math.floor(pixel / SIDE) * step, step, step);
    });
    classify(Float32Array.from(pixels, (value) => value / 255), data.labels[example]);
  };
  clear();
}
