// Shows why the server refused an action, or what an action does not do, which asynqmon's pages
// keep to themselves, and hides the actions that are always refused.
(function () {
  "use strict";

  var toast;
  function show(text) {
    if (toast) toast.remove();
    toast = document.createElement("div");
    toast.className = "wablock-toast";
    toast.setAttribute("role", "alert");
    toast.textContent = text;
    toast.addEventListener("click", function () { this.remove(); });
    document.body.appendChild(toast);
    var mine = toast;
    setTimeout(function () { mine.remove(); }, 12000);
  }

  var open = XMLHttpRequest.prototype.open;
  XMLHttpRequest.prototype.open = function (method) {
    if (String(method).toUpperCase() !== "GET") {
      this.addEventListener("load", function () {
        var note = this.getResponseHeader("Wablock-Note");
        if (note) show(note);
        if (this.status < 400) return;
        var reason = this.responseText;
        try { reason = JSON.parse(reason).error || reason; } catch (e) { /* text as it is */ }
        show("Not done: " + reason);
      });
    }
    return open.apply(this, arguments);
  };

  // Menus are drawn when they are opened, so look at whatever is added.
  new MutationObserver(function () {
    document.querySelectorAll('li[role="menuitem"]').forEach(function (item) {
      if (item.textContent === "Archive All") item.hidden = true;
    });
  }).observe(document, { childList: true, subtree: true });
})();
