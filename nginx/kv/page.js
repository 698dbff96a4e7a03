/*
 * The key and value page: sets and gets over the routes POST /set and GET /get/{key}, and counts
 * down how long the value shown is still there.
 */

/** How long an answer is waited for, in ms. */
const PATIENCE = 10_000;

/** Of a value, more characters than these are shown, but not said. */
const SAID_MAX = 100;

const element = (id) => document.getElementById(id);

/** The newest request; an answer to an older one comes too late to be shown. */
let latest = 0;

/** What is counted down: null, or the key, when it ends (ms since 1970) and of how long (ms). */
let counted = null;
let tick = 0;

/** The seconds left that Larder tells in Cache-Status (RFC 9211); null where it tells none. */
function secondsLeft(headers) {
  const told = /(?:^|,)\s*larder\b[^,]*;\s*ttl=(\d+)/.exec(headers.get("Cache-Status") ?? "");
  return told ? Number(told[1]) : null;
}

/** Status, headers, text and, where it is JSON, the body; status 0: there was no answer. */
async function ask(path, options) {
  try {
    const response = await fetch(`../${path}`, {
      ...options, cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(PATIENCE),
    });
    const text = await response.text();
    return { status: response.status, words: response.statusText, headers: response.headers, text, body: parse(text) };
  } catch {
    return { status: 0, words: "", headers: new Headers(), text: "", body: null };
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const getValue = (key) => ask(`get/${encodeURIComponent(key.toWellFormed?.() ?? key)}`);

const setValue = (key, value) => ask("set", {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ key, value }),
});

const inSeconds = (number) => `${number} ${number === 1 ? "second" : "seconds"}`;

/** What is said of a long text: a screen reader reads all of it out. */
function shortened(text) {
  const characters = [...text];
  return characters.length > SAID_MAX ? `${characters.slice(0, SAID_MAX).join("")}…` : text;
}

/** Why there is no value, in a sentence. */
function failureOf(answer) {
  const wait = Number(answer.headers.get("Retry-After"));
  const again = wait > 0 ? ` Try again in ${inSeconds(wait)}.` : "";
  if (answer.status === 0)
    return "There was no answer. Is the network there, and Larder running?";
  return `${answer.body?.detail ?? answer.words ?? "The request failed."}${again}`;
}

function say(text, failed = false) {
  element("said").textContent = text;
  element("said").classList.toggle("problem", failed);
}

function showSent(answer) {
  element("raw").hidden = answer.status === 0;
  element("sent").textContent = `${answer.status} ${answer.words}\n${answer.text}`;
}

function showValue(body, source, left) {
  element("key").textContent = body.key;
  element("value").textContent = body.value;
  element("source").textContent = source;
  element("found").hidden = false;
  countDown(body.key, left);
}

function showNothing() {
  element("found").hidden = true;
  stopCounting();
}

function stopCounting() {
  clearTimeout(tick);
  counted = null;
}

/** Counts from `left` seconds; null: the value stays. */
function countDown(key, left) {
  stopCounting();
  element("bar").hidden = left === null;
  if (left === null) {
    element("left").textContent = "it stays";
    return;
  }
  counted = { key, end: Date.now() + left * 1000, whole: left * 1000 };
  count();
}

function count() {
  const rest = Math.max(0, counted.end - Date.now());
  const number = Math.ceil(rest / 1000);
  element("left").textContent = inSeconds(number);
  element("rest").style.transform = `scaleX(${counted.whole ? rest / counted.whole : 0})`;
  if (rest === 0)
    lookAgain(counted.key);
  else
    tick = setTimeout(count, Math.min(250, rest));
}

/** The time is over, unless somebody has set the key anew meanwhile. */
async function lookAgain(key) {
  const turn = latest;
  counted = null;
  const answer = await getValue(key);
  if (turn !== latest)
    return;
  showSent(answer);
  if (answer.status === 200) {
    showValue(answer.body, answer.body.source, secondsLeft(answer.headers));
    say(`“${key}” was set anew.`);
  } else {
    showNothing();
    say(answer.status === 404 ? `The time of “${key}” is over.` : failureOf(answer), answer.status !== 404);
  }
}

/** Marks the fields that Larder finds fault with (RFC 9457's errors); the first gets the focus. */
function markFields(form, errors) {
  const faults = new Map((errors ?? []).map((error) => [error.name, error.detail]));
  let first = null;
  for (const field of form.querySelectorAll("input")) {
    const fault = faults.get(field.name);
    const text = element(`${field.id}-problem`);
    text.hidden = !fault;
    text.textContent = fault ? `The ${field.name} ${fault}.` : "";
    field.setAttribute("aria-invalid", String(Boolean(fault)));
    first ??= fault ? field : null;
  }
  first?.focus();
}

/** Browsers resolve these two in a path, however they are written there. */
const isFolder = (key) => key === "." || key === "..";

/** Sends what a form says, and shows the answer unless there is a newer request by then. */
async function submit(form, request, show) {
  const turn = ++latest;
  if (isFolder(form.elements.key.value)) {
    element("answer").setAttribute("aria-busy", "false"); // no older answer is shown any more
    markFields(form, [{ name: "key", detail: "can't be “.” or “..”, which browsers take for folders" }]);
    return;
  }
  markFields(form, []);
  stopCounting();
  element("answer").setAttribute("aria-busy", "true");
  const answer = await request();
  if (turn !== latest)
    return;
  element("answer").setAttribute("aria-busy", "false");
  showSent(answer);
  if (answer.status === 200 && answer.body)
    show(answer);
  else
    showFailure(answer);
  element("said").scrollIntoView({ block: "nearest" });
  markFields(form, answer.body?.errors);
}

function showFailure(answer) {
  const missing = answer.status === 404 && answer.body?.error;
  showNothing();
  say(missing ? `${answer.body.error}.` : failureOf(answer), !missing);
}

element("set").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  const key = form.elements.key.value;
  submit(form, () => setValue(key, form.elements.value.value), ({ body }) => {
    showValue(body, "what you have just set", body.ttl ?? null);
    say(body.ttl ? `“${key}” is set for ${inSeconds(body.ttl)}.` : `“${key}” is set.`);
    element("get-key").value = key;
  });
});

element("get").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  const key = form.elements.key.value;
  submit(form, () => getValue(key), ({ body, headers }) => {
    const left = secondsLeft(headers);
    showValue(body, body.source, left);
    say(`“${key}” is “${shortened(body.value)}”${left === null ? "" : `, for ${inSeconds(left)} more`}.`);
  });
});
