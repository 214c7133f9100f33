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

startTheme();
startTimes();
startLive();
startForms();
startLog();
