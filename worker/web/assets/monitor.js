// Shows why the server refused an action, which asynqmon's pages do not, and offers actions only
// where the server takes them: on the pages of dead letters.
(function () {
  "use strict";

  // asynqmon reads this whenever it draws a table; what its page assigns is ignored.
  Object.defineProperty(window, "READ_ONLY", {
    get: function () { return !/\/queues\/dead-letter(\/|$)/.test(location.pathname); },
    set: function () {}
  });

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
        if (this.status < 400) return;
        var reason = this.responseText;
        try { reason = JSON.parse(reason).error || reason; } catch (e) { /* text as it is */ }
        show("Not done: " + reason);
      });
    }
    return open.apply(this, arguments);
  };
})();
