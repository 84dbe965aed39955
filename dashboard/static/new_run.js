// The form of a new run: what would run is asked for while a person fills it in. Without it, the button 'What will run?' does that.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("run"), place = document.getElementById("plan");
  let timer = null, asking = false, again = false;

  /** One question at a time, and one more if the form was changed meanwhile. */
  async function ask() {
    if (asking) { again = true; return; }
    asking = true;
    place.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(place.dataset.ask, { method: "POST", body: new URLSearchParams(new FormData(form)), headers: { Accept: "text/html" } });
      if (!answer.ok) throw new Error(answer.status);
      place.innerHTML = await answer.text();
    } catch { place.textContent = "It cannot be said: the dashboard does not answer."; }
    asking = false;
    if (again) { again = false; ask(); } else place.removeAttribute("aria-busy");
  }

  const named = () => form.elements.source.value.trim() || form.elements.known?.value;
  const later = () => { clearTimeout(timer); if (named()) timer = setTimeout(ask, 800); };
  form.addEventListener("input", later);
  form.elements.known?.addEventListener("change", () => { if (form.elements.known.value) form.elements.source.value = ""; });
  form.elements.source.addEventListener("input", () => { if (form.elements.source.value && form.elements.known) form.elements.known.value = ""; });
  document.getElementById("preview").hidden = true;
  if (location.hash === "#recurring") document.getElementById("recurring").open = true;
  const wrong = form.querySelector("[aria-invalid]");
  if (wrong) wrong.focus(); else later();
});
