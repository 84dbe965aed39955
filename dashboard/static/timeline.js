// The timeline of the history: dragging over a part shows it larger. Without it, the links beside the timeline zoom.
"use strict";
(() => {
  const timeline = document.getElementById("timeline");
  if (!timeline) return;
  const from = Date.parse(timeline.dataset.from), to = Date.parse(timeline.dataset.to);
  let start = null, chosen = null;
  const share = (event) => {
    const box = timeline.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  const at = (part) => new Date(from + part * (to - from)).toISOString().slice(0, 19);
  const clear = () => { chosen?.remove(); chosen = null; start = null; };
  timeline.addEventListener("dragstart", (event) => event.preventDefault());
  timeline.addEventListener("pointerdown", (event) => { if (event.button === 0 && event.pointerType === "mouse") start = share(event); });
  timeline.addEventListener("pointermove", (event) => {
    if (start === null || Math.abs(share(event) - start) * timeline.clientWidth < 6) return;
    if (!chosen) {
      chosen = timeline.appendChild(document.createElement("div"));
      chosen.className = "chosen";
      timeline.setPointerCapture(event.pointerId);
    }
    const now = share(event);
    chosen.style.left = `${100 * Math.min(start, now)}%`;
    chosen.style.width = `${100 * Math.abs(now - start)}%`;
  });
  timeline.addEventListener("pointerup", (event) => {
    const begun = start, drawn = chosen !== null, end = share(event);
    clear();
    if (!drawn) return;
    timeline.addEventListener("click", (click) => { click.preventDefault(); click.stopPropagation(); }, { capture: true, once: true });
    const [first, last] = [Math.min(begun, end), Math.max(begun, end)];
    location.href = `${timeline.dataset.address}&from=${at(first)}&to=${at(last)}`;
  });
  addEventListener("keydown", (event) => { if (event.key === "Escape") clear(); });
})();
