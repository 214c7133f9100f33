// Shows the lines of a log as they are written, as long as its end is shown and its process runs.
import { showTimes } from "./time.js";

const LOOK_MS = 1000;
const KEPT_LINES = 1000;

function atEnd(list) {
  return list.scrollTop + list.clientHeight >= list.scrollHeight - 8;
}

// Appends what came since; answers whether there may be more already.
async function more(list) {
  const answer = await fetch(`${list.dataset.lines}?after=${list.dataset.tail}`, { headers: { Accept: "text/html" } });
  if (!answer.ok) return false;
  const read = new DOMParser().parseFromString(await answer.text(), "text/html");
  const lines = [...read.querySelectorAll("li")];
  if (!lines.length) return false;
  showTimes(read);
  const follow = atEnd(list);
  list.append(...lines.map((line) => document.importNode(line, true)));
  list.dataset.tail = lines.at(-1).id.replace("line-", "");
  document.querySelector("[data-log-empty]")?.remove();
  if (follow) {
    while (list.children.length > KEPT_LINES) list.firstElementChild.remove();
    list.scrollTop = list.scrollHeight;
  }
  return true;
}

export function startLog() {
  const list = document.querySelector("[data-tail]");
  if (!list) return;
  list.scrollTop = list.scrollHeight;
  const look = async () => {
    // Asked before the lines: what is written up to the end is read once more after it.
    const runs = document.querySelector("[data-running]");
    if (!document.hidden) {
      try {
        while (await more(list));
      } catch {
        // The banner says that the node does not answer; the next look finds it again.
      }
    }
    if (runs) setTimeout(look, LOOK_MS);
  };
  look();
}
