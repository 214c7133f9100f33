// Forms in place: filters that apply as they are chosen, orders without leaving the page, changes in a dialog.
import { refresh } from "./live.js";
import { localText, showTimes, utcText } from "./time.js";

const TYPING_MS = 250;
const dialog = document.querySelector("[data-dialog]");

function say(text, tone = "told") {
  document.querySelector("main > .told, main > .mistakes")?.remove();
  const note = document.createElement("p");
  note.className = tone;
  note.setAttribute("role", tone === "told" ? "status" : "alert");
  note.textContent = text;
  document.querySelector("main").prepend(note);
}

async function page(address, options) {
  const answer = await fetch(address, { ...options, headers: { Accept: "text/html" } });
  return { answer, read: new DOMParser().parseFromString(await answer.text(), "text/html") };
}

function post(form, submitter, address) {
  const fields = new FormData(form, submitter);
  const own = submitter?.hasAttribute("formaction") ? submitter.formAction : form.action;
  return page(address || own, { method: "POST", body: new URLSearchParams(fields) });
}

function failure(read) {
  const problem = read.querySelector("[data-problem]");
  return problem ? problem.querySelector("h1 + p").textContent : document.body.dataset.failed;
}

function after(read) {
  const told = read.querySelector("main > .told");
  if (told) say(told.textContent);
}

// An order such as "run now": done, told of, and the page brought up to date.
async function order(form, submitter) {
  submitter.disabled = true;
  try {
    const { answer, read } = await post(form, submitter);
    if (answer.ok) after(read);
    else say(failure(read), "mistakes");
  } catch {
    say(document.body.dataset.failed, "mistakes");
  } finally {
    submitter.disabled = false;
  }
  refresh();
}

function put(read) {
  const form = read.querySelector("form[data-change]");
  showTimes(read);
  dialog.replaceChildren(document.importNode(form, true));
  enliven(dialog.querySelector("form"));
}

async function openChange(link) {
  const address = new URL(link.href);
  const { answer, read } = await page(address.pathname);
  if (!answer.ok || !read.querySelector("form[data-change]")) {
    location.assign(link.href);
    return;
  }
  put(read);
  dialog.showModal();
  const wanted = dialog.querySelector(address.hash || "input:not([type=hidden]):checked");
  wanted?.focus();
  wanted?.select?.();
}

async function sendChange(form, submitter) {
  for (const button of form.querySelectorAll("button")) button.disabled = true;
  try {
    const { answer, read } = await post(form, submitter);
    if (read.querySelector("form[data-change]")) {
      put(read);
      dialog.scrollTop = 0;
      (dialog.querySelector("[role=alert], [autofocus]") || dialog).scrollIntoView({ block: "nearest" });
      dialog.querySelector("[autofocus]")?.focus();
      return;
    }
    dialog.close();
    if (answer.ok) after(read);
    else say(failure(read), "mistakes");
    refresh();
  } catch {
    for (const button of form.querySelectorAll("button")) button.disabled = false;
    say(document.body.dataset.failed, "mistakes");
  }
}

// Shows the fields of what is chosen, and the ticks of what is typed.
function enliven(form) {
  const choose = () => {
    for (const part of form.querySelectorAll("[data-for]")) {
      const [name, value] = part.dataset.for.split("=");
      part.hidden = new FormData(form).get(name) !== value;
    }
  };
  let timer = 0;
  let asked = 0;
  const preview = async () => {
    asked += 1;
    const mine = asked;
    const { answer, read } = await post(form, null, form.dataset.preview);
    if (!answer.ok || mine !== asked) return;
    showTimes(read);
    form.querySelector("[data-ticks]").replaceChildren(...read.body.childNodes);
  };
  form.addEventListener("input", (event) => {
    choose();
    if (form.dataset.preview && !event.target.matches("textarea")) {
      clearTimeout(timer);
      timer = setTimeout(() => preview().catch(() => {}), TYPING_MS);
    }
  });
  form.addEventListener("click", (event) => {
    if (event.target.closest("[data-closes]") && dialog.open) {
      event.preventDefault();
      dialog.close();
    }
  });
  choose();
  const overtaken = form.querySelector("[data-overtaken]");
  if (overtaken) watch(form, overtaken);
}

// Says that somebody else changed the robot while its form is open.
function watch(form, overtaken) {
  const look = async (event) => {
    if (!form.isConnected) {
      document.removeEventListener("told", look);
    } else if (event.detail.includes("robot")) {
      const { read } = await page(form.action);
      const revision = read.querySelector("[name=revision]");
      overtaken.hidden = !revision || revision.value === form.elements.revision.value;
    }
  };
  document.addEventListener("told", look);
}

// Instants are UTC in addresses and where no scripts run; here they are typed in the viewer's zone.
function startInstants(form) {
  for (const field of form.querySelectorAll("input[type=datetime-local]")) {
    if (field.value) field.value = localText(`${field.value}Z`);
  }
  for (const zone of form.querySelectorAll("[data-zone]")) zone.remove();
}

// A filter applies as soon as it is chosen or typed; the address says it.
function startFilters(form) {
  startInstants(form);
  let timer = 0;
  const apply = () => {
    const fields = new URLSearchParams();
    for (const [name, value] of new FormData(form)) {
      if (value) fields.append(name, form.elements[name].type === "datetime-local" ? utcText(value) : value);
    }
    const query = fields.toString();
    history.replaceState(null, "", query ? `${location.pathname}?${query}` : location.pathname);
    refresh({ whole: true });
  };
  // Assistive programs that choose in a list tell of the change only.
  for (const kind of ["input", "change"]) {
    form.addEventListener(kind, () => {
      clearTimeout(timer);
      timer = setTimeout(apply, TYPING_MS);
    });
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    apply();
  });
}

function startChooseAll(label) {
  label.hidden = false;
  const all = label.querySelector("input");
  const boxes = () => [...document.querySelectorAll("input[name=robot]")];
  all.addEventListener("change", () => boxes().forEach((box) => { box.checked = all.checked; }));
}

export function startForms() {
  document.querySelectorAll("[data-filters]").forEach(startFilters);
  document.querySelectorAll("[data-all]").forEach(startChooseAll);
  document.querySelectorAll("main form[data-change]").forEach(enliven);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-opens]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    openChange(link).catch(() => location.assign(link.href));
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches("[data-quietly]")) {
      event.preventDefault();
      order(form, event.submitter);
    } else if (form.matches("dialog form[data-change]")) {
      event.preventDefault();
      sendChange(form, event.submitter);
    }
  });
  dialog.addEventListener("close", () => dialog.replaceChildren());
}
