// The pages on which the endpoint is tried: images dropped, pasted or taken by the camera; answers put in place.
"use strict";
(() => {
  const input = document.getElementById("images"), chosen = document.getElementById("chosen");
  const ask = document.getElementById("ask"), answer = document.getElementById("answer");
  const clear = document.getElementById("clear"), camera = document.getElementById("camera");
  let asked = [], under = null;

  /** Puts files into the file input, so that the form sends them as if they had been chosen there. */
  function give(files, more = false) {
    const transfer = new DataTransfer();
    for (const file of [...(more ? input.files : []), ...files]) transfer.items.add(file);
    input.files = transfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  function show() {
    chosen.querySelectorAll("img").forEach((image) => URL.revokeObjectURL(image.src));
    chosen.replaceChildren(...[...input.files].map((file) => {
      const item = document.createElement("li"), frame = document.createElement("span");
      const image = document.createElement("img"), name = document.createElement("bdi");
      frame.className = "frame"; name.className = "small";
      image.src = URL.createObjectURL(file); image.alt = ""; name.textContent = file.name;
      frame.append(image); item.append(frame, name);
      return item;
    }));
    clear.hidden = input.files.length === 0;
  }

  const examples = () => [...(ask?.querySelectorAll('input[name="example"]') ?? [])];
  const wanted = () => Number(ask.querySelector('input[name="operation"]:checked').dataset.images);
  const count = () => input.files.length + examples().filter((each) => each.checked).length;

  async function send() {
    under?.abort();
    const mine = under = new AbortController();
    asked = [...input.files];
    answer.setAttribute("aria-busy", "true");
    try {
      const reply = await fetch(ask.action, { method: "POST", body: new FormData(ask), headers: { "X-Fragment": "1", Accept: "text/html" }, signal: mine.signal });
      put(answer, await reply.text());
      if (answer.getBoundingClientRect().top > innerHeight * 0.7) answer.scrollIntoView(); // on a phone it is far below
    } catch (error) {
      if (mine.signal.aborted) return;
      say("The dashboard does not answer. Is it running?");
    }
    if (under === mine) answer.setAttribute("aria-busy", "false");
  }

  /** Puts a part of a page in place. Its text is of the dashboard's own templates. */
  function put(place, html) {
    const page = new DOMParser().parseFromString(html, "text/html");
    place.replaceChildren(...(page.querySelector("main") ?? page.body).childNodes);
    ready(place);
  }

  function ready(root) {
    if (navigator.clipboard) root.querySelectorAll("[data-copy]").forEach((button) => { button.hidden = false; });
    root.querySelectorAll("form[data-correct] .again").forEach((field) => {
      if (filesOf(field.closest("form")).every(Boolean)) { field.hidden = true; field.querySelector("input").required = false; }
    });
    root.querySelectorAll("form[data-correct] [name=place]").forEach(draggable);
    if (typeof showTimes === "function") showTimes(root);
  }

  /** The files that an answer was asked about. */
  const filesOf = (form) => form.dataset.correct.split(" ").filter(Boolean).map((number) => asked[number]);

  /** Lets a person drag a box over the image of a detection, which fills in the field. */
  function draggable(field) {
    const scene = field.closest("section").querySelector("svg.scene"), form = field.form;
    if (!scene) return;
    const box = document.createElementNS(scene.namespaceURI, "rect");
    let from = null;
    const at = (event) => {
      const view = scene.viewBox.baseVal, place = new DOMPoint(event.clientX, event.clientY).matrixTransform(scene.getScreenCTM().inverse());
      return [Math.min(Math.max(place.x, 0), view.width), Math.min(Math.max(place.y, 0), view.height)];
    };
    const inForm = () => form.closest("details").open;
    field.parentElement.querySelector("[data-drag]").hidden = false;
    field.addEventListener("input", other);
    function other() { const choice = form.querySelector("[data-other]"); if (choice) choice.checked = true; }
    scene.addEventListener("pointerdown", (event) => {
      if (!inForm()) return;
      event.preventDefault();
      scene.setPointerCapture(event.pointerId);
      from = at(event);
    });
    scene.addEventListener("pointermove", (event) => {
      if (!from) return;
      const to = at(event), [left, top, right, bottom] = [0, 1].map((side) => Math.min(from[side], to[side])).concat([0, 1].map((side) => Math.max(from[side], to[side])));
      for (const [name, value] of Object.entries({ class: "drawn", x: left, y: top, width: right - left, height: bottom - top })) box.setAttribute(name, value);
      scene.append(box);
      field.value = [left, top, right, bottom].map(Math.round).join(" ");
      other();
    });
    scene.addEventListener("pointerup", () => { from = null; });
    form.closest("details").addEventListener("toggle", () => { scene.classList.toggle("drawable", inForm()); });
  }

  function again(form) {
    setTimeout(() => { delete form.dataset.sent; form.querySelectorAll("button").forEach((button) => { button.disabled = false; }); });
  }

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (event.defaultPrevented) return;
    if (form === ask) { event.preventDefault(); again(form); send(); }
    if (form.dataset.correct !== undefined) {
      event.preventDefault();
      const body = new FormData(form), files = filesOf(form);
      if (files.length && files.every(Boolean)) {
        body.delete("images");
        files.forEach((file) => body.append("images", file, file.name));
      }
      const reply = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/html" } }).catch(() => null);
      const page = reply && new DOMParser().parseFromString(await reply.text(), "text/html");
      const note = document.createElement("p");
      note.setAttribute("role", "status");
      if (reply?.ok) {
        note.append("Kept as a correction. ", Object.assign(document.createElement("a"), { href: reply.url, textContent: "All corrections" }));
        form.replaceWith(note);
      } else {
        note.className = "mistake";
        note.textContent = page?.querySelector(".problem")?.textContent ?? "The dashboard does not answer. Is it running?";
        form.querySelector(".mistake")?.remove();
        form.append(note);
        again(form);
      }
    }
  });

  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    if (!copy) return;
    await navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).innerText);
    say("Copied.");
  });

  // Labels of the gallery, as they are typed.
  let asking = 0;
  document.addEventListener("input", (event) => {
    const field = event.target, kind = field.dataset?.suggest;
    if (!kind) return;
    clearTimeout(asking);
    asking = setTimeout(async () => {
      const model = document.querySelector('input[name="model"]').value;
      const reply = await fetch(`/try/labels?${new URLSearchParams({ model, typed: field.value, kind })}`).catch(() => null);
      if (!reply?.ok) return;
      const options = (await reply.json()).map((label) => Object.assign(document.createElement("option"), { value: label }));
      field.list.replaceChildren(...options);
    }, 150);
  });
  document.addEventListener("focusin", (event) => {
    if (event.target.dataset?.suggest && !event.target.list.children.length) event.target.dispatchEvent(new Event("input", { bubbles: true }));
  });

  if (input) {
    const drop = document.getElementById("drop");
    input.addEventListener("change", () => {
      show();
      if (!ask) return;
      if (input.files.length) examples().forEach((each) => { each.checked = each.checked && wanted() > input.files.length; });
      if (input.files.length && count() >= wanted()) send();
    });
    clear.addEventListener("click", () => { give([]); input.focus(); });
    drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
    drop.addEventListener("dragleave", () => drop.classList.remove("over"));
    drop.addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      if (event.dataTransfer.files.length) give(event.dataTransfer.files, more());
    });
    document.addEventListener("paste", (event) => { if (event.clipboardData.files.length) give(event.clipboardData.files, more()); });
    show();
  }
  /** Whether images that come are added to those that are there: all are enrolled, and two are compared. */
  function more() { return !ask || input.files.length < wanted(); }

  ask?.addEventListener("change", (event) => {
    const example = event.target;
    if (example.name !== "example" || !example.checked) return;
    if (wanted() === 1 || count() > wanted()) {
      const kept = examples().filter((each) => each.checked && each !== example).slice(0, wanted() - 1);
      examples().forEach((each) => { each.checked = each === example || kept.includes(each); });
      if (wanted() === 1 || count() > wanted()) { input.value = ""; show(); }
    }
    if (count() >= wanted()) send();
  });

  // The camera
  if (camera && navigator.mediaDevices?.getUserMedia) {
    const viewfinder = document.getElementById("viewfinder"), video = viewfinder.querySelector("video");
    camera.hidden = false;
    camera.addEventListener("click", async () => {
      try {
        video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1920 } } });
      } catch (error) {
        say(error.name === "NotAllowedError" ? "The browser does not let this page use the camera." : "There is no camera that can be used.");
        return;
      }
      viewfinder.showModal();
      await video.play();
    });
    viewfinder.addEventListener("close", () => { video.srcObject?.getTracks().forEach((track) => track.stop()); video.srcObject = null; });
    viewfinder.querySelector("[data-close]").addEventListener("click", () => viewfinder.close());
    viewfinder.querySelector("[data-take]").addEventListener("click", () => {
      const canvas = document.createElement("canvas");
      canvas.width = video.videoWidth; canvas.height = video.videoHeight;
      canvas.getContext("2d").drawImage(video, 0, 0);
      canvas.toBlob((blob) => give([new File([blob], `camera-${Date.now()}.jpg`, { type: "image/jpeg" })], more()), "image/jpeg", 0.92);
      viewfinder.close();
    });
  }

  ready(document);
})();
