// Parts of a page that are kept as they are on the server: marked data-live, with an id. Without it, a reader loads the page again.
//   data-every="2"         the page is asked for again every 2 s as long as a part says so
//   data-ended="reload"    once this part says so no longer, the whole page is loaded again
//   data-say="TEXT"        said to everybody when it changes
//   data-stream="ADDRESS"  events of a run come from there, as they happen
//   data-seconds="12.5"    a time span that goes on from this length
"use strict";
const PARTS = "[data-live]";
const sources = new WeakMap();  // what the server wrote of a part
const AGAIN_MS = 5000;  // after which a stream that was refused is asked for again
let asking = null, stream = null, pulse = null, timer = null, heard = Date.now(), last = "";

/** Says that what the page shows is old, since when; or no longer. */
function setStale(stale) {
  const box = document.getElementById("stale");
  if (!box) return;
  if (!stale) { box.hidden = true; heard = Date.now(); return; }
  if (!box.hidden) return;
  box.textContent = `The dashboard does not answer. What this page shows is from ${new Date(heard).toLocaleTimeString()}.`;
  box.hidden = false;
}

/** How the focused element is found again: by its id, or as the summary of a part that opens. */
function focusedIn(part) {
  const element = document.activeElement;
  if (!part.contains(element)) return "";
  if (element.id) return `#${CSS.escape(element.id)}`;
  return element.matches("details[id] > summary") ? `#${CSS.escape(element.parentElement.id)} > summary` : "";
}

/** Puts the part as it is now in the place of the one that is shown; what the reader opened, chose or focused stays so. */
function swap(shown, fresh) {
  const focus = document.activeElement, focused = focusedIn(shown);
  for (const open of shown.querySelectorAll("details[id]")) {
    const again = fresh.querySelector(`#${CSS.escape(open.id)}`);
    if (again) again.open = open.open;
  }
  for (const box of shown.querySelectorAll("input[type=checkbox]:checked")) {
    const again = fresh.querySelector(`#${CSS.escape(box.id)}`);
    if (again) again.checked = true;
  }
  const scrolled = [...shown.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
  fresh.querySelectorAll(".scroll").forEach((each, index) => queueMicrotask(() => { each.scrollLeft = scrolled[index] ?? 0; }));
  shown.replaceWith(fresh);
  showTimes(fresh);
  if (focused && document.activeElement !== focus) document.querySelector(focused)?.focus({ preventScroll: true });
}

/** Asks for the page again, and takes its live parts. */
async function refresh() {
  if (asking) return asking;
  asking = (async () => {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store", signal: AbortSignal.timeout(10000) });
      if (answer.redirected && new URL(answer.url).pathname !== location.pathname) { location.replace(answer.url); return; }
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) throw new Error(answer.status);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll(PARTS)) {
        const again = fresh.getElementById(part.id);
        if (again && part.dataset.ended === "reload" && !again.dataset.every) { location.reload(); return; }
        if (again && again.outerHTML !== sources.get(part)) {
          const source = again.outerHTML, kept = document.importNode(again, true);
          swap(part, kept);
          if (kept.dataset.say && kept.dataset.say !== part.dataset.say) say(kept.dataset.say);
          sources.set(kept, source);
        }
      }
      setStale(false);
    } catch { setStale(true); }
  })();
  await asking;
  asking = null;
}

/** Looks again after a while, as long as a part asks for it; not while the page is hidden. */
function schedule() {
  clearTimeout(timer);
  const every = document.querySelector("[data-every]")?.dataset.every;
  if (!every || stream) return;
  timer = setTimeout(async () => { if (!document.hidden) await refresh(); schedule(); }, 1000 * every);
}

/** A time span that goes on, as the server writes one. */
function tick() {
  for (const each of document.querySelectorAll("[data-seconds]")) {
    each.dataset.seen ??= Date.now();
    const whole = Math.round(Number(each.dataset.seconds) + (Date.now() - each.dataset.seen) / 1000), minutes = Math.floor(whole / 60);
    each.textContent = minutes >= 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
  }
}

const clock = (at) => new Date(1000 * at).toLocaleTimeString(undefined, { hour12: false });

/** Adds an event of a run to its progress. */
function show(event) {
  for (const element of document.querySelectorAll("[data-step]")) {
    if (element.dataset.step !== event.step || event.event !== "progress") continue;
    if (element.tagName !== "PROGRESS") element.textContent = event.text;
    else if (event.total) { element.max = event.total; element.value = event.done ?? 0; }
  }
  const log = document.getElementById("log");
  if (!log || !event.text) return;
  const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
  const line = document.createElement("li"), time = document.createElement("span"), step = document.createElement("b"), text = document.createElement("span");
  line.className = event.event;
  time.className = "clock";
  [time.textContent, step.textContent, text.textContent] = [clock(event.at), event.step, event.text];
  line.append(time, " ", step, " ", text);
  log.append(line);
  while (log.children.length > 400) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

/** Follows a run after the last event that came; the browser itself connects again where it lost the connection. */
function follow() {
  if (document.hidden || stream) return;
  const from = document.querySelector("[data-stream]")?.dataset.stream;
  if (!from) { schedule(); return; }
  const address = new URL(from, location.href);
  if (last) address.searchParams.set("after", last);
  let soon = null;
  const later = (wait) => { soon ??= setTimeout(async () => { soon = null; await refresh(); }, wait); };
  stream = new EventSource(address);
  pulse = setInterval(() => later(0), 5000);  // a step may be silent for long
  stream.onopen = () => { if (!document.getElementById("stale").hidden) { setStale(false); later(0); } };
  stream.addEventListener("events", (message) => {
    heard = Date.now();
    last = message.lastEventId;
    const events = JSON.parse(message.data);
    events.forEach(show);
    if (events.some((event) => event.event !== "progress" || event.total)) later(events.some((event) => event.event !== "progress") ? 100 : 2000);
  });
  stream.addEventListener("end", async (message) => {
    leave();
    await refresh();
    say(`The run has ended: ${JSON.parse(message.data)}.`);
    schedule();
  });
  stream.onerror = () => {
    setStale(true);
    if (stream?.readyState !== EventSource.CLOSED) return;
    leave();
    timer = setTimeout(async () => { await refresh(); follow(); }, AGAIN_MS);
  };
}

function leave() {
  stream?.close();
  clearInterval(pulse);
  stream = null;
}

document.addEventListener("DOMContentLoaded", () => {
  for (const time of document.querySelectorAll(".clock[data-at]")) time.textContent = clock(time.dataset.at);
  const log = document.getElementById("log");
  if (log) log.scrollTop = log.scrollHeight;
  last = new URL(document.querySelector("[data-stream]")?.dataset.stream ?? "", location.href).searchParams.get("after") ?? "";
  follow();
  setInterval(tick, 1000);
});
// A page that nobody sees keeps no connection: a browser has six for all pages of one server, and the seventh would wait.
document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (document.hidden) leave();
  else if (document.querySelector("[data-every], [data-stream]")) refresh().then(follow);
});
