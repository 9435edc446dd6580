// Refreshes the parts of a page that are marked data-live, every two seconds while the page is seen, without moving
// scroll or focus. A part that has not changed stays as it is.
(() => {
  "use strict";
  const every = 2000, patience = 10000;
  const live = document.getElementById("live");
  const say = (text) => { if (live && live.textContent !== text) live.textContent = text; };
  // key finds an element again in the new part: by its target and text.
  const key = (e) => e.tagName + "|" + (e.getAttribute("href") || e.getAttribute("name") || "") + "|" + e.textContent;
  const replace = (part, fresh) => {
    if (part.innerHTML === fresh.innerHTML) return;
    const held = part.contains(document.activeElement) ? key(document.activeElement) : "";
    part.replaceChildren(...fresh.childNodes);
    if (!held) return;
    for (const e of part.querySelectorAll("a, button, input, select")) {
      if (key(e) === held) { e.focus({ preventScroll: true }); return; }
    }
  };
  const refresh = async () => {
    if (document.hidden) return;
    const selection = document.getSelection();
    if (selection && !selection.isCollapsed) return; // someone copies from the page
    try {
      const answer = await fetch(location.href, { signal: AbortSignal.timeout(patience) });
      if (!answer.ok) { say("stale: the worker answers " + answer.status); return; }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live]")) {
        const fresh = page.getElementById(part.id);
        if (fresh) replace(part, fresh);
      }
      say("live");
    } catch {
      say("stale: the worker does not answer");
    }
  };
  const next = () => setTimeout(async () => { await refresh(); next(); }, every);
  next();
})();
