// Keeps a page as it would be if it were loaded again: told by one event stream, else asked for every few seconds.
import { morph } from "./morph.js";
import { clock, readAt, showTimes } from "./time.js";

const POLL_MS = 5000;
const SLOW_MS = 30000;
const GLIDE_MS = 250;
// An answer that is slower than this is waited for visibly.
const WAIT_MS = 400;

const body = document.body;
const still = matchMedia("(prefers-reduced-motion: reduce)");
let topics = [];
let stream = null;
let streamed = false;
let reading = null;
let again = null;
let lastRead = Date.now();
let timer = 0;

function state(name) {
  const element = document.querySelector("[data-live-state]");
  element.dataset.state = name;
  element.title = name === "poll" ? body.dataset.polling : body.dataset.live;
}

function banner(text, link) {
  const element = document.querySelector("[data-banner]");
  if (element.textContent !== text) {
    element.textContent = text;
    if (link) {
      const anchor = document.createElement("a");
      anchor.href = `/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`;
      anchor.textContent = link;
      element.append(" ", anchor);
    }
  }
  element.hidden = !text;
}

function lost() {
  state("lost");
  banner(`${body.dataset.lost} ${clock(lastRead)}`);
}

// Reads the page at its address again and shows what differs.
export async function refresh({ whole = false } = {}) {
  if (reading) {
    again = { whole: whole || Boolean(again?.whole) };
    return reading;
  }
  reading = read(whole);
  try {
    await reading;
  } finally {
    reading = null;
  }
  if (again) {
    const next = again;
    again = null;
    await refresh(next);
  }
}

async function read(whole) {
  const address = location.pathname + location.search;
  const waits = setTimeout(() => { body.dataset.waits = ""; }, WAIT_MS);
  let page;
  try {
    const answer = await fetch(address, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(15000) });
    if (answer.redirected && new URL(answer.url).pathname === "/sign-in") {
      stop();
      state("lost");
      banner(body.dataset.signedOut, document.title);
      return;
    }
    if (answer.status >= 500) throw new Error(String(answer.status));
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!answer.ok) {
      banner(page.querySelector("[data-problem] h1 + p")?.textContent || body.dataset.failed);
      return;
    }
  } catch {
    lost();
    return;
  } finally {
    clearTimeout(waits);
    delete body.dataset.waits;
  }
  // The viewer went on to another filter meanwhile: that one is read too.
  if (address !== location.pathname + location.search) return;
  lastRead = Date.now();
  readAt(page);
  showTimes(page);
  banner("");
  state(streamed ? "live" : "poll");
  show(page, whole);
}

function show(page, whole) {
  const read = page.querySelector("[data-live-state] time");
  if (read) document.querySelector("[data-live-state] time").replaceWith(read);
  for (const shown of document.querySelectorAll("[data-live]")) {
    const wanted = page.getElementById(shown.id);
    if (!wanted) continue;
    if (!whole && "holds" in shown.dataset && isRead(shown)) hold(shown, wanted);
    else document.querySelector(`[data-held="${shown.id}"]`)?.remove();
    glide(shown, () => morph(shown, wanted));
  }
}

// What moves because something came or went glides to its new place, so that the eye can follow it.
function glide(shown, change) {
  const parts = [...(shown.querySelector("[data-rows]") || shown).children];
  const before = parts.map((part) => part.getBoundingClientRect().top);
  change();
  const moved = parts.map((part, at) => part.isConnected ? before[at] - part.getBoundingClientRect().top : 0);
  parts.forEach((part, at) => {
    if (moved[at] && !still.matches) part.animate([{ transform: `translateY(${moved[at]}px)` }, { transform: "none" }], { duration: GLIDE_MS, easing: "ease-out" });
  });
}

// Whether somebody is looking at rows that must not move, or wants nothing to move at all.
function isRead(shown) {
  return still.matches || window.scrollY > 60 || shown.contains(document.activeElement) || shown.matches(":hover");
}

// Keeps the rows that are shown in their places: they are brought up to date, new ones wait to be asked for.
function hold(shown, wanted) {
  const old = shown.querySelector("[data-rows]");
  const fresh = wanted.querySelector("[data-rows]");
  if (!old?.children.length || !fresh) return;
  const known = new Map([...fresh.children].map((row) => [row.dataset.key, row]));
  const kept = [...old.children].map((row) => {
    const row2 = known.get(row.dataset.key);
    known.delete(row.dataset.key);
    if (row2) return row2;
    const gone = row.cloneNode(true);
    gone.classList.add("gone");
    return gone;
  });
  fresh.replaceChildren(...kept);
  let button = document.querySelector(`[data-held="${shown.id}"]`);
  if (!known.size) {
    button?.remove();
    return;
  }
  if (!button) {
    button = document.createElement("button");
    button.type = "button";
    button.className = "held main";
    button.dataset.held = shown.id;
    button.addEventListener("click", () => {
      window.scrollTo({ top: 0 });
      refresh({ whole: true });
    });
    shown.before(button);
  }
  const text = `${known.size} ${body.dataset.new}`;
  if (button.textContent !== text) button.textContent = text;
}

function told(event) {
  const changed = JSON.parse(event.data).topics;
  if (changed.some((topic) => topics.includes(topic))) refresh();
  document.dispatchEvent(new CustomEvent("told", { detail: changed }));
}

function open() {
  if (stream || !topics.length) return;
  stream = new EventSource("/live");
  stream.addEventListener("open", () => {
    const was = streamed;
    streamed = true;
    state("live");
    // What changed between the reading of the page and the opening of its stream was not told.
    if (!was) refresh();
  });
  stream.addEventListener("change", told);
  stream.addEventListener("error", () => {
    streamed = false;
    if (stream.readyState === EventSource.CLOSED) {
      stream.close();
      stream = null;
    }
    // Whether it is the line or only the stream, reading the page tells.
    refresh();
    poll();
  });
}

function stop() {
  stream?.close();
  stream = null;
  streamed = false;
  clearTimeout(timer);
  topics = [];
}

// With a stream, a look from time to time finds what no event tells, e.g. a window that has opened.
function poll() {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    if (!document.hidden) {
      await refresh();
      if (!stream) open();
    }
    if (topics.length) poll();
  }, streamed ? SLOW_MS : POLL_MS);
}

export function startLive() {
  topics = (body.dataset.topics || "").split(" ").filter(Boolean);
  if (!topics.length) return;
  state("poll");
  open();
  poll();
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      stream?.close();
      stream = null;
      streamed = false;
    } else if (topics.length) {
      open();
      refresh();
    }
  });
}
