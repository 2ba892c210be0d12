// Shows on an open page what was changed elsewhere. Without it one reloads; all else works the same.
"use strict";

(() => {
  const main = document.getElementById("main");
  const kind = main.dataset.live;
  const base = new URL("..", document.currentScript.src);
  let source = null;
  let isTyping = false;
  let isFollowing = false;

  if (kind === undefined) return;

  function watched() {
    const shown = [...document.querySelectorAll("[data-entry]")].map((each) => each.dataset.entry);
    return [...new Set(shown)].slice(0, 50);
  }

  function tellOnly() {
    if (document.getElementById("changed")) return;
    const told = document.createElement("p");
    const link = document.createElement("a");
    told.id = "changed";
    told.className = "notice";
    told.setAttribute("role", "status");
    link.href = location.href;
    link.textContent = "Show it as it is now";
    told.append("This was changed elsewhere. ", link, "; what you typed here would be lost.");
    main.prepend(told);
  }

  async function refresh() {
    if (isTyping) return tellOnly();
    const answer = await fetch(location.href, { cache: "no-store" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("main");
    if (isTyping) return tellOnly();
    if (fresh === null || fresh.innerHTML === main.innerHTML) return;
    const open = [...main.querySelectorAll("details")].map((each) => each.open);
    const before = watched().join();
    main.replaceChildren(...fresh.childNodes);
    main.querySelectorAll("details").forEach((each, place) => { each.open = open[place]; });
    if (watched().join() !== before) connect();
  }

  function ignore() {}  // The server may be gone: the page stays as it is.

  function connect() {
    source?.close();
    const address = new URL("changes", base);
    address.searchParams.set("entries", watched().join());
    source = new EventSource(address);
    source.addEventListener("following", () => {
      document.getElementById("following").hidden = false;
      // What happened while the connection was away is unknown.
      if (isFollowing) refresh().catch(ignore);
      isFollowing = true;
    });
    source.addEventListener("changed", () => refresh().catch(ignore));
    if (kind === "list") source.addEventListener("beat", () => refresh().catch(ignore));
  }

  main.addEventListener("input", () => { isTyping = true; });
  // A hidden page holds no connection; browsers have few for each server.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      source?.close();
    } else {
      connect();
      refresh().catch(ignore);
    }
  });
  connect();
})();
