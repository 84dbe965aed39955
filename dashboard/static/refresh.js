// Parts of a page that change by themselves: an element with data-refresh="ADDRESS" and data-every="SECONDS" is fetched again.
// What stands in data-say of the new part is said once when it changes. Without scripts, the page is loaded again by its link.
"use strict";
async function refresh(element) {
  const every = 1000 * Number(element.dataset.every || 5);
  if (document.hidden) { setTimeout(refresh, every, element); return; }
  let next = element;
  try {
    const answer = await fetch(element.dataset.refresh, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(10000) });
    if (answer.ok) {
      const found = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-part]");
      if (found && found.innerHTML !== element.dataset.shown) {
        const open = new Set([...element.querySelectorAll("details[open][id]")].map((each) => each.id));
        next = document.adoptNode(found);
        next.dataset.shown = next.innerHTML;
        open.forEach((id) => { const each = next.querySelector(`[id="${CSS.escape(id)}"]`); if (each) each.open = true; });
        if (next.dataset.say && next.dataset.say !== element.dataset.say) say(next.dataset.say);
        if (!element.contains(document.activeElement)) element.replaceWith(next); else next = element;
        showTimes(next);
      }
      document.querySelectorAll(".stale").forEach((each) => { each.hidden = true; });
    } else throw new Error(answer.status);
  } catch {
    document.querySelectorAll(".stale").forEach((each) => { each.hidden = false; });
  }
  if (next.dataset.refresh) setTimeout(refresh, every, next);
}
document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-refresh]").forEach((element) => {
  setTimeout(refresh, 1000 * Number(element.dataset.every || 5), element);
}));
