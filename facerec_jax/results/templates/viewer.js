"use strict";
// Shows one face: orbit, sliders of its expression, light as spherical
// harmonics. Colours are those of the photograph, in whose light they were
// taken; another light changes them by the ratio of both lights' shading.

const VERTEX = `#version 300 es
in vec3 position, normal, firstNormal;
in vec2 place;
in vec3 color;
uniform mat4 view;
out vec3 vNormal, vFirstNormal, vColor;
out vec2 vPlace;
void main() {
  gl_Position = view * vec4(position, 1.0);
  vNormal = normal;
  vFirstNormal = firstNormal;
  vPlace = place;
  vColor = color;
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec3 vNormal, vFirstNormal, vColor;
in vec2 vPlace;
uniform sampler2D image;
uniform int look;
uniform float grey;
uniform vec3 light[9], firstLight[9];
uniform mat3 pose;
out vec4 result;
vec3 shade(vec3 n, vec3 l[9]) {
  vec3 s = 0.2820948 * l[0]
    + 0.3257350 * (n.y * l[1] + n.z * l[2] + n.x * l[3])
    + 0.2731371 * (n.x * n.y * l[4] + n.y * n.z * l[5] + n.x * n.z * l[7])
    + 0.0788479 * (3.0 * n.z * n.z - 1.0) * l[6]
    + 0.1365686 * (n.x * n.x - n.y * n.y) * l[8];
  return max(s, 0.0);
}
void main() {
  vec3 shading = shade(normalize(pose * vNormal), light);
  vec3 first = shade(normalize(pose * vFirstNormal), firstLight);
  vec3 base = look == 0 ? texture(image, vPlace).rgb : vColor;
  if (look == 2) base = vec3(grey);
  if (look == 0) shading /= max(first, 0.05);
  vec3 linear = clamp(base * shading, 0.0, 1.0);
  vec3 curve = 1.055 * pow(linear, vec3(1.0 / 2.4)) - 0.055;
  result = vec4(mix(curve, 12.92 * linear, lessThan(linear, vec3(0.0031308))),
    1.0);
}`;

const LIGHTS = [
  // name, label, start, least, most
  ["ambient", "photograph's light", 1, 0, 2],
  ["lamp", "lamp", 0, 0, 3],
  ["azimuth", "lamp left to right, °", 40, -180, 180],
  ["height", "lamp below to above, °", 30, -90, 90],
];
const HOME = {yaw: 0, pitch: 0, zoom: 1};

const facts = JSON.parse(document.getElementById("facts").textContent);
const canvas = document.querySelector("canvas");
const lights = Object.fromEntries(LIGHTS.map(([name, , start]) =>
  [name, start]));
const orbit = {...HOME};
const weights = facts.weights.slice();
const sliders = {};
let scene = null;

async function unpack() {
  const text = document.getElementById("arrays").textContent;
  const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream()
    .pipeThrough(new DecompressionStream("gzip"));
  const data = await new Response(stream).arrayBuffer();
  const types = {f4: Float32Array, u4: Uint32Array, i2: Int16Array,
    i1: Int8Array, u1: Uint8Array};
  return Object.fromEntries(facts.layout.map(([name, type, start, count]) =>
    [name, new types[type](data, start, count)]));
}

// rest + sum of weights * moves; the moves are integers with one scale each.
function blend(rest, moves, scales) {
  const points = Float32Array.from(rest);
  weights.forEach((weight, k) => {
    const factor = weight * scales[k];
    if (!factor) return;
    const start = k * rest.length;
    for (let i = 0; i < rest.length; i++)
      points[i] += factor * moves[start + i];
  });
  return points;
}

function compile(gl) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX],
    [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS))
      throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS))
    throw new Error(gl.getProgramInfoLog(program));
  gl.useProgram(program);
  return program;
}

function attribute(gl, program, name, size, type) {
  const buffer = gl.createBuffer();
  const place = gl.getAttribLocation(program, name);
  gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
  gl.enableVertexAttribArray(place);
  gl.vertexAttribPointer(place, size, type, type !== gl.FLOAT, 0, 0);
  return data => {
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.DYNAMIC_DRAW);
  };
}

async function loadTexture(gl) {
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  const image = new Image();
  image.src = facts.texture;
  await image.decode();
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.SRGB8_ALPHA8, gl.RGBA,
    gl.UNSIGNED_BYTE, image);
  gl.generateMipmap(gl.TEXTURE_2D);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER,
    gl.LINEAR_MIPMAP_LINEAR);
}

async function build() {
  const gl = canvas.getContext("webgl2", {antialias: true, alpha: true});
  if (!gl) throw new Error("This browser offers no WebGL 2.");
  const arrays = await unpack();
  const program = compile(gl);
  const set = {};
  for (const name of ["position", "normal", "firstNormal"])
    set[name] = attribute(gl, program, name, 3, gl.FLOAT);
  attribute(gl, program, "color", 3, gl.UNSIGNED_BYTE)(arrays.colors);
  if (facts.texture) {
    attribute(gl, program, "place", 2, gl.FLOAT)(arrays.uv);
    await loadTexture(gl);
  }
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, arrays.triangles, gl.STATIC_DRAW);
  gl.enable(gl.DEPTH_TEST);
  gl.enable(gl.CULL_FACE);
  const uniform = name => gl.getUniformLocation(program, name);
  gl.uniformMatrix3fv(uniform("pose"), false, facts.pose);
  gl.uniform3fv(uniform("firstLight"), facts.light);
  gl.uniform1f(uniform("grey"), facts.grey);
  scene = {gl, arrays, set, uniform, count: arrays.triangles.length};
  morph();
  set.firstNormal(scene.normals);
}

function morph() {
  const {arrays, set} = scene;
  set.position(blend(arrays.points, arrays.moves, facts.moveScales));
  scene.normals = blend(arrays.normals, arrays.turns, facts.turnScales);
  set.normal(scene.normals);
}

// The photograph's light, dimmed, and a distant lamp in front of the head.
function currentLight() {
  const turn = lights.azimuth * Math.PI / 180;
  const rise = lights.height * Math.PI / 180;
  const x = Math.sin(turn) * Math.cos(rise);
  const y = Math.sin(rise);
  const z = Math.cos(turn) * Math.cos(rise);
  const basis = [0.2820948, 0.4886025 * y, 0.4886025 * z, 0.4886025 * x,
    1.0925484 * x * y, 1.0925484 * y * z, 0.3153916 * (3 * z * z - 1),
    1.0925484 * x * z, 0.5462742 * (x * x - y * y)];
  return facts.light.map((value, k) => lights.ambient * value
    + lights.lamp * Math.PI * basis[Math.floor(k / 3)]);
}

// Column by column: perspective * move back * turn * move the centre to 0.
function viewMatrix() {
  const focal = 1 / Math.tan(11 * Math.PI / 180);
  const far = 1.15 * facts.radius * focal / orbit.zoom;
  const aspect = canvas.width / canvas.height;
  const fit = focal * Math.min(1, aspect);
  const near = Math.max(far - 3 * facts.radius, 1);
  const depth = far + 3 * facts.radius;
  const [a, b] = [orbit.yaw, orbit.pitch];
  const [ca, sa, cb, sb] = [Math.cos(a), Math.sin(a), Math.cos(b),
    Math.sin(b)];
  const rows = [[ca, 0, sa], [sa * sb, cb, -ca * sb], [-sa * cb, sb, ca * cb]];
  const scale = [fit / aspect, fit, (near + depth) / (near - depth)];
  const shift = rows.map(row =>
    -row.reduce((sum, r, k) => sum + r * facts.center[k], 0));
  shift[2] -= far;
  const matrix = [];
  for (let k = 0; k < 3; k++)
    matrix.push(...rows.map((row, i) => scale[i] * row[k]), -rows[2][k]);
  matrix.push(scale[0] * shift[0], scale[1] * shift[1],
    scale[2] * shift[2] + 2 * near * depth / (near - depth), -shift[2]);
  return matrix;
}

function draw() {
  if (!scene) return;
  const {gl, uniform} = scene;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  gl.viewport(0, 0, canvas.width, canvas.height);
  gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  gl.uniformMatrix4fv(uniform("view"), false, viewMatrix());
  gl.uniform3fv(uniform("light"), currentLight());
  gl.uniform1i(uniform("look"), Number(document.getElementById("look").value));
  gl.drawElements(gl.TRIANGLES, scene.count, gl.UNSIGNED_INT, 0);
}
let waiting = false;
function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
}

function addSlider(parent, name, text, start, least, most, change) {
  const label = document.createElement("label");
  const caption = document.createElement("span");
  const input = document.createElement("input");
  const output = document.createElement("output");
  caption.textContent = text;
  Object.assign(input, {type: "range", min: least, max: most,
    step: most > 10 ? 1 : 0.01});
  const show = value => {
    input.value = value;
    output.textContent = most > 10 ? value.toFixed(0) : value.toFixed(2);
    label.classList.toggle("moved", Math.abs(value - start) > 0.005);
  };
  input.addEventListener("input", () => {
    const value = Number(input.value);
    show(value);
    change(value);
  });
  sliders[name] = value => { show(value); change(value); };
  label.append(caption, input, output);
  label.title = name;
  parent.append(label);
  show(start);
}

function setWeights(values) {
  facts.names.forEach((name, k) => sliders[name](values[k]));
}

function addControls() {
  const light = document.getElementById("light");
  for (const [name, text, start, least, most] of LIGHTS)
    addSlider(light, name, text, start, least, most, value => {
      lights[name] = value;
      redraw();
    });
  const expression = document.getElementById("expression");
  const [low, high] = facts.range;
  facts.names.forEach((name, k) => addSlider(expression, name,
    facts.labels[k], facts.weights[k], Math.min(low, facts.weights[k]),
    Math.max(high, facts.weights[k]), value => {
      weights[k] = value;
      if (scene) morph();
      redraw();
    }));
  const presets = document.getElementById("presets");
  for (const [name, values] of facts.presets) {
    const button = document.createElement("button");
    button.textContent = name;
    button.addEventListener("click", () => setWeights(values));
    presets.append(button);
  }
  document.getElementById("look").addEventListener("change", redraw);
}

// #AU12_L=0.8&lamp=1&yaw=30&look=2&preset=neutral shows just that.
function readAddress() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  for (const [name, values] of facts.presets)
    if (wanted.get("preset") === name) setWeights(values);
  for (const [name, text] of wanted) {
    const value = Number(text);
    if (name in sliders && Number.isFinite(value)) sliders[name](value);
  }
  if (wanted.has("look"))
    document.getElementById("look").value = wanted.get("look");
  for (const name of ["yaw", "pitch"])
    orbit[name] = Number(wanted.get(name) || 0) * Math.PI / 180;
  orbit.zoom = Number(wanted.get("zoom")) || 1;
  redraw();
}

function turn(right, up) {
  orbit.yaw += right;
  orbit.pitch = Math.min(1.5, Math.max(-1.5, orbit.pitch + up));
  redraw();
}

function zoom(factor) {
  orbit.zoom = Math.min(12, Math.max(0.3, orbit.zoom * factor));
  redraw();
}

function listen() {
  const pointers = new Map();
  const spread = () => {
    const [p, q] = [...pointers.values()];
    return Math.hypot(p.x - q.x, p.y - q.y);
  };
  canvas.addEventListener("pointerdown", event => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, {x: event.clientX, y: event.clientY});
  });
  canvas.addEventListener("pointermove", event => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    const before = pointers.size === 2 ? spread() : 0;
    const [dx, dy] = [event.clientX - last.x, event.clientY - last.y];
    pointers.set(event.pointerId, {x: event.clientX, y: event.clientY});
    if (pointers.size === 1) turn(dx * 0.008, dy * 0.008);
    if (before) zoom(spread() / before);
  });
  for (const name of ["pointerup", "pointercancel"])
    canvas.addEventListener(name, event => pointers.delete(event.pointerId));
  canvas.addEventListener("wheel", event => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * 0.001));
  }, {passive: false});
  canvas.addEventListener("dblclick", () => {
    Object.assign(orbit, HOME);
    redraw();
  });
  canvas.addEventListener("keydown", event => {
    const step = {ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0],
      ArrowUp: [0, -0.1], ArrowDown: [0, 0.1]}[event.key];
    if (!step) return;
    event.preventDefault();
    turn(...step);
  });
  new ResizeObserver(redraw).observe(canvas);
  window.addEventListener("hashchange", readAddress);
}

async function start() {
  addControls();
  try {
    await build();
  } catch (error) {
    document.getElementById("problem").textContent = error.message;
    document.documentElement.dataset.state = "failed";
    return;
  }
  listen();
  readAddress();
  draw();
  document.documentElement.dataset.state = "ready";
}
start();
