// The console works without this script. It shows times as the browser does, counts down the life of the session,
// filters while one types, and keeps the list up to date.
"use strict";
(() => {
  const doc = document;
  const lang = doc.documentElement.lang;
  let arrived = Date.now();

  const span = (s) => {
    const two = (big, bigUnit, small, smallUnit) => {
      const rest = Math.floor((s % big) / small);
      return Math.floor(s / big) + " " + bigUnit + (rest > 0 ? " " + rest + " " + smallUnit : "");
    };
    if (s < 60) return s + " s";
    if (s < 3600) return Math.floor(s / 60) + " min";
    return s < 86400 ? two(3600, "h", 60, "min") : two(86400, "d", 3600, "h");
  };

  // Texts for those who hear the page: what has changed by itself.
  const tell = (e, text) => { if (e && e.textContent !== text) e.textContent = text; };
  const say = (text) => tell(doc.getElementById("say"), text);
  const sayLive = (name) => {
    const live = doc.getElementById("live");
    if (live) tell(live, live.dataset[name]);
  };

  const localTimes = (root) => {
    for (const t of root.querySelectorAll("time[datetime]")) {
      t.title = t.textContent;
      t.textContent = new Date(t.dateTime).toLocaleString(lang);
    }
  };

  // What was chosen stays chosen when the list changes.
  const replaceList = (html) => {
    const list = doc.getElementById("list");
    if (!list) return;
    const chosen = new Set();
    for (const box of list.querySelectorAll("input[name=key]:checked")) chosen.add(box.value);
    const focus = list.contains(doc.activeElement) ? doc.activeElement : null;
    const parsed = new DOMParser().parseFromString(html, "text/html");
    list.replaceChildren(...parsed.body.childNodes);
    for (const box of list.querySelectorAll("input[name=key]")) box.checked = chosen.has(box.value);
    if (focus) {
      const same = [...list.querySelectorAll(focus.tagName)].find((e) =>
        e.name === focus.name && e.value === focus.value && e.getAttribute("href") === focus.getAttribute("href") &&
        e.id === focus.id);
      if (same) same.focus();
    }
    arrived = Date.now();
    prepare(list);
  };

  const prepare = (root) => {
    localTimes(root);
    const every = root.querySelector("#every");
    if (every) every.closest("label").hidden = false;
    markEvery();
  };

  // The box of all is checked while each session of the page is.
  const boxes = () => [...doc.querySelectorAll("#list input[name=key]")];
  const markEvery = () => {
    const every = doc.getElementById("every"), all = boxes();
    if (every) every.checked = all.length > 0 && all.every((box) => box.checked);
  };

  doc.addEventListener("change", (e) => {
    if (e.target.id === "every") for (const box of boxes()) box.checked = e.target.checked;
    markEvery();
  });

  // The end of the session. A stream does not make it live longer.
  let deadline = 0;
  const readLeft = () => {
    const left = doc.getElementById("left");
    deadline = left && left.dataset.left ? Date.now() + 1000 * Number(left.dataset.left) : 0;
  };
  setInterval(() => {
    const passed = Math.floor((Date.now() - arrived) / 1000);
    for (const e of doc.querySelectorAll("[data-idle]")) e.textContent = span(Number(e.dataset.idle) + passed);
    const left = doc.getElementById("left");
    if (!deadline || !left) return;
    const rest = Math.floor((deadline - Date.now()) / 1000);
    if (rest > 0) {
      const b = left.querySelector("b");
      if (b) b.textContent = span(rest);
      return;
    }
    say(left.dataset.ended);
    tell(left, left.dataset.ended);
    unwatch();
  }, 1000);

  let source = null;
  const unwatch = () => {
    if (source) source.close();
    source = null;
    sayLive("stale");
  };
  const watch = () => {
    const list = doc.getElementById("list");
    if (!list || !list.dataset.events || !window.EventSource) return;
    if (source) source.close();
    source = new EventSource(list.dataset.events + location.search);
    source.onopen = () => sayLive("fresh");
    source.addEventListener("part", (e) => replaceList(e.data));
    source.addEventListener("ended", () => { unwatch(); location.reload(); });
    source.addEventListener("refused", () => { unwatch(); location.reload(); });
    source.onerror = () => {
      sayLive("stale");
      if (source && source.readyState === EventSource.CLOSED) unwatch();
    };
  };

  // Filter as typed.
  const filter = doc.getElementById("filter");
  let timer = 0, latest = 0;
  const apply = async () => {
    const query = new URLSearchParams(new FormData(filter));
    for (const [name, value] of [...query]) if (!value) query.delete(name);
    const url = filter.action + (query.size ? "?" + query : "");
    const mine = ++latest;
    let answer, text;
    try {
      answer = await fetch(url, { credentials: "same-origin" });
      text = await answer.text();
    } catch {
      if (mine === latest) unwatch(); // the server can't be reached: the list is not that of the filter
      return;
    }
    if (mine !== latest) return;
    if (!answer.ok || answer.redirected) { location.assign(url); return; }
    const parsed = new DOMParser().parseFromString(text, "text/html");
    const list = parsed.getElementById("list"), left = parsed.getElementById("left");
    if (!list) return;
    history.replaceState(null, "", url);
    replaceList(list.innerHTML);
    const found = doc.querySelector("#list table.cards caption, #list > p");
    if (found) say(found.textContent);
    if (left) doc.getElementById("left").replaceWith(doc.adoptNode(left));
    readLeft();
    watch();
  };
  if (filter) {
    filter.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(apply, 250); });
    filter.addEventListener("submit", (e) => { e.preventDefault(); clearTimeout(timer); apply(); });
  }

  // The page is about to be left. The end of the session must not load it again.
  doc.addEventListener("submit", (e) => { if (e.target !== filter) unwatch(); });

  // A page that a browser has kept may be of a session that has ended.
  window.addEventListener("pageshow", (e) => { if (e.persisted) location.reload(); });
  // The address with which an issuer sends a browser back has a code and a state. They must not stay in it.
  if (location.pathname.startsWith("/ui/login/")) history.replaceState(null, "", "/ui/login");
  prepare(doc);
  readLeft();
  watch();
})();
