// Shows on an open page what was changed elsewhere. Without it one reloads; all else works the same.
"use strict";

(() => {
  const RETRY_MS = 30_000;
  const main = document.getElementById("main");
  const following = document.getElementById("following");
  const kind = main.dataset.live;
  const base = new URL("..", document.currentScript.src);
  let shown = main.innerHTML;
  let source = null;
  let retry = null;
  let isStale = false;
  let isLooking = false;

  if (kind === undefined) return;

  function watched() {
    const entries = [...main.querySelectorAll("[data-entry]")].map((each) => each.dataset.entry);
    return [...new Set(entries)].slice(0, 50).join();
  }

  // Asked of the fields themselves: what a browser filled in again after going back is typed too.
  function isTyped(field) {
    if (field.type === "checkbox") return field.checked !== field.defaultChecked;
    if (field.options === undefined) return field.value !== field.defaultValue;
    const first = [...field.options].findIndex((option) => option.defaultSelected);
    return field.selectedIndex !== Math.max(first, 0);
  }

  function hasTyped() {
    const fields = [...main.querySelectorAll("input, select, textarea")];
    return "typed" in main.dataset || fields.some(isTyped);
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
    if ("typed" in main.dataset) return tellOnly();
    const answer = await fetch(location.href, { cache: "no-store" });
    if (answer.status >= 500) return;  // What is shown is better than an error that passes.
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("main");
    if (fresh === null || fresh.innerHTML === shown) return;
    if (hasTyped()) return tellOnly();
    const before = watched();
    shown = fresh.innerHTML;
    Idiomorph.morph(main, [...fresh.childNodes], {
      morphStyle: "innerHTML",
      callbacks: {
        // What the reader has opened stays open.
        beforeAttributeUpdated: (name, node) => name !== "open" || node.localName !== "details",
      },
    });
    if (watched() !== before) connect();
  }

  // One at a time, or an older answer could come last.
  async function look() {
    isStale = true;
    if (isLooking) return;
    isLooking = true;
    try {
      while (isStale) {
        isStale = false;
        await refresh();
      }
    } catch {
      // The server may be gone: the page stays as it is.
    } finally {
      isLooking = false;
    }
  }

  function disconnect() {
    clearTimeout(retry);
    source?.close();
    following.hidden = true;
  }

  function connect() {
    disconnect();
    // A hidden page holds no connection; browsers have few for each server.
    if (document.hidden) return;
    const address = new URL("changes", base);
    address.searchParams.set("kind", kind);
    address.searchParams.set("entries", watched());
    source = new EventSource(address);
    source.addEventListener("following", () => {
      following.hidden = false;
      look();  // What happened before is unknown.
    });
    source.addEventListener("changed", look);
    source.addEventListener("error", () => {
      following.hidden = true;
      if (source.readyState === EventSource.CLOSED) retry = setTimeout(connect, RETRY_MS);
    });
  }

  document.addEventListener("visibilitychange", connect);
  connect();
})();
