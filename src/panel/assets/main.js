// Starts what makes a page live. Every page works without it.
import { startForms } from "./form.js";
import { startLive } from "./live.js";
import { startLog } from "./log.js";
import { startTimes } from "./time.js";

function startTheme() {
  const root = document.documentElement;
  document.querySelector("[data-theme-switch]").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    document.cookie = `robotd_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
  });
}

// Where the places do not fit beside each other, one sees among them where one is.
function showPlaces() {
  for (const place of document.querySelectorAll("nav [aria-current]")) {
    const list = place.closest("nav");
    list.scrollLeft = place.offsetLeft - list.offsetLeft - (list.clientWidth - place.offsetWidth) / 2;
  }
}

startTheme();
showPlaces();
startTimes();
startLive();
startForms();
startLog();
