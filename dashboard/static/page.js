// What every page does: times in the reader's zone, and forms that are sent once. Without it all pages work.
"use strict";
const csrf = () => document.querySelector('meta[name="csrf"]')?.content ?? "";

/** Says something to everybody, also to those who hear the page. */
function say(text) {
  const box = document.getElementById("said");
  box.textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { box.textContent = ""; }, 8000);
}

const ago = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
function showTimes(root = document) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime), seconds = (at - Date.now()) / 1000;
    element.title = at.toLocaleString();
    const units = [["minute", 60], ["hour", 24], ["day", 7]];
    let value = seconds / 60, text = at.toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });
    if (Math.abs(seconds) < 60) text = seconds > 0 ? "in a moment" : "just now";
    else for (const [unit, length] of units) {
      if (Math.abs(value) < length) { text = ago.format(Math.round(value), unit); break; }
      value /= length;
    }
    element.textContent = text;
  }
}

// A form is sent once: a second click finds its button disabled. A page that the browser brings back has it enabled again.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "1";
  setTimeout(() => form.querySelectorAll("button").forEach((button) => { button.disabled = true; }));
});
window.addEventListener("pageshow", () => {
  document.querySelectorAll("form[data-sent]").forEach((form) => {
    delete form.dataset.sent;
    form.querySelectorAll("button").forEach((button) => { button.disabled = false; });
  });
});
document.addEventListener("DOMContentLoaded", () => { showTimes(); setInterval(showTimes, 15000); });
