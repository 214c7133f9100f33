// Instants in the viewer's zone (UTC stays in the title), and ages that tick.
const today = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const other = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const hour = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const years = new Intl.DateTimeFormat("en-GB", { year: "numeric", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

// The server's clock may differ from the viewer's: ages count from the server's.
let skew = 0;

export function now() {
  return Date.now() + skew;
}

// Takes the time at which the node read a page.
export function readAt(page) {
  const time = page.querySelector("[data-live-state] time");
  if (time) skew = Date.parse(time.dateTime) - Date.now();
}

export function clock(at) {
  return hour.format(at);
}

function atText(at) {
  const date = new Date(at);
  const current = new Date(now());
  if (date.toDateString() === current.toDateString()) return today.format(date);
  return (date.getFullYear() === current.getFullYear() ? other : years).format(date);
}

export function ageText(at) {
  const ahead = Math.trunc((at - now()) / 1000);
  const seconds = Math.abs(ahead);
  let size = `${Math.floor(seconds / 86400)} d`;
  if (seconds < 60) size = `${seconds} s`;
  else if (seconds < 3600) size = `${Math.floor(seconds / 60)} min`;
  else if (seconds < 172800) size = `${Math.floor(seconds / 3600)} h`;
  return ahead > 0 ? `in ${size}` : `${size} ago`;
}

// An instant as a field for date and time takes it, in the viewer's zone.
export function localText(instant) {
  const at = new Date(instant);
  return new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}

// What such a field holds, as addresses have it.
export function utcText(field) {
  return `${new Date(field).toISOString().slice(0, 19)}Z`;
}

// Rewrites the times below `root`; a parsed page is rewritten before it is compared with the one that is shown.
export function showTimes(root) {
  for (const time of root.querySelectorAll("time[data-at], time[data-age]")) {
    const at = Date.parse(time.dateTime);
    let text = "age" in time.dataset ? ageText(at) : atText(at);
    if (time.closest("[data-hour]")) text = hour.format(at);
    if (time.textContent !== text) time.textContent = text;
  }
}

export function startTimes() {
  readAt(document);
  showTimes(document);
  setInterval(() => document.hidden || showTimes(document), 1000);
}
