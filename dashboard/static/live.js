// Parts of a page that say how something goes: [data-live] is asked for again every so many seconds, until it has ended.
"use strict";
(() => {
  const look = async () => {
    const parts = [...document.querySelectorAll("[data-live]")];
    if (!parts.length) return;
    if (document.hidden) { setTimeout(look, 1000); return; }
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of parts) {
        const now = fresh.getElementById(part.id);
        if (!now) { location.reload(); return; }
        if (now.outerHTML === part.dataset.shown) continue;
        const ended = part.id === "change" && !now.dataset.live;
        now.dataset.shown = now.outerHTML;
        part.replaceChildren(...now.childNodes);
        part.dataset.shown = now.dataset.shown;
        if (now.dataset.live) part.dataset.live = now.dataset.live; else delete part.dataset.live;
        part.classList.remove("stale");
        showTimes(part);
        if (ended) { location.reload(); return; }
      }
    } catch {
      parts.forEach((part) => part.classList.add("stale"));
      say("The dashboard does not answer: what is shown may be old.");
    }
    const next = Math.min(...[...document.querySelectorAll("[data-live]")].map((part) => Number(part.dataset.live) || 5));
    if (Number.isFinite(next)) setTimeout(look, 1000 * next);
  };
  document.addEventListener("DOMContentLoaded", () => setTimeout(look, 1000));
})();
