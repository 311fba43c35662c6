// Keeps a page as the store is: looks again, and exchanges the parts that have changed.  Tells local times.
// Without it all works; the page then loads itself anew while its run goes on.
"use strict";

(() => {
  // At least so long between two looks, in ms, and so many times as long as a look takes.
  const REST = 1000;
  const PATIENCE = 10;
  const TRIES = 5;
  const said = document.getElementById("following");
  const came = new Map();
  let failed = 0;

  // The parts of a page, by which it is exchanged.
  const parts = (of) => [...of.querySelectorAll("main > section[id]")];

  // What the reader has opened, scrolled and focused in a part stays so.
  function exchange(old, fresh) {
    const open = new Map([...old.querySelectorAll("details[id]")].map((one) => [one.id, one.open]));
    for (const one of fresh.querySelectorAll("details[id]")) {
      if (open.has(one.id)) one.open = open.get(one.id);
    }
    const scrolled = [...old.querySelectorAll(".scroll, .drawing, pre")].map((one) => [one.scrollLeft, one.scrollTop]);
    const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    old.replaceWith(fresh);
    fresh.querySelectorAll(".scroll, .drawing, pre").forEach((one, place) => {
      if (scrolled[place]) [one.scrollLeft, one.scrollTop] = scrolled[place];
    });
    if (focused !== null) {
      [...fresh.querySelectorAll("a")].find((one) => one.getAttribute("href") === focused)?.focus({ preventScroll: true });
    }
  }

  // Times are UTC; who points at one is told it by the clock of this machine.
  function tellLocalTimes() {
    for (const one of document.querySelectorAll("time[datetime]:not([title])")) {
      one.title = new Date(one.dateTime).toLocaleString();
    }
  }

  function take(page) {
    const now = parts(document);
    const then = parts(page);
    const alike = now.length === then.length && now.every((one, place) => one.id === then[place].id);
    if (!alike) {
      document.querySelector("main").replaceWith(page.querySelector("main"));
    } else {
      now.forEach((one, place) => {
        // As it came, not as it is: the reader may have opened a part of it.
        const text = then[place].outerHTML;
        if (came.get(one.id) !== text) exchange(one, then[place]);
        came.set(one.id, text);
      });
    }
    tellLocalTimes();
    document.title = page.title;
    document.body.toggleAttribute("data-changes", page.body.hasAttribute("data-changes"));
  }

  async function look() {
    const began = performance.now();
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (answer.status === 403) throw new Error("the dashboard is another one now");
      take(new DOMParser().parseFromString(await answer.text(), "text/html"));
      failed = 0;
    } catch {
      failed += 1;
    }
    const going = document.body.hasAttribute("data-changes");
    said.textContent = failed >= TRIES ? "liteflow ui has ended" : going ? "live" : "";
    if (going && failed < TRIES) {
      setTimeout(whenSeen, Math.max(REST, PATIENCE * (performance.now() - began)));
    }
  }

  // A page that nobody sees asks for nothing.
  function whenSeen() {
    if (document.hidden) {
      document.addEventListener("visibilitychange", whenSeen, { once: true });
    } else {
      look();
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    tellLocalTimes();
    if (document.body.hasAttribute("data-changes")) setTimeout(whenSeen, REST);
  });
})();
