// Keep a page of the console fresh: news by long poll, countdowns by the store's clock, and nothing lost that the
// reader has typed, opened, focused or scrolled to. Without this script every page still works.
"use strict";

const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 10000;
const POLL_MS = 40000;
const SETTLE_MS = 600; // a press this soon after the list moved was meant for what stood there before

const page = document.body.dataset;
const live = document.getElementById("live");
let ahead = page.now ? Number(page.now) - Date.now() : 0; // how far the store's clock is ahead of this one
const movedAt = new Map(); // card → when news last moved it
let pressing = false;

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

// --- countdowns ---

function spell(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  const rest = String(seconds % 60);
  return minutes ? `${minutes} min ${rest.padStart(2, "0")} s` : `${rest} s`;
}

function tick() {
  for (const clock of document.querySelectorAll("[data-ends-at]")) {
    const left = Number(clock.dataset.endsAt) - (Date.now() + ahead);
    const text = left > 0 ? `${spell(left)} ${clock.dataset.word}` : "time is over";
    if (clock.textContent !== text) clock.textContent = text;
    clock.classList.toggle("soon", left < 60000);
  }
}

// --- news: the same nodes stay, so that focus, typed text, open details and scroll stay with them ---

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.dataset.key : undefined);
const isNote = (node) => node.nodeType === Node.ELEMENT_NODE && "note" in node.dataset;
const isClock = (node) => node.nodeType === Node.ELEMENT_NODE && "endsAt" in node.dataset;
const kind = (node) => `${node.nodeName} ${node.id ?? ""} ${node.classList?.[0] ?? ""}`;
const alike = (a, b) => !keyOf(a) && !keyOf(b) && kind(a) === kind(b);

function morph(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  morphAttributes(old, fresh);
  if (!isClock(old)) morphChildren(old, fresh);
}

function morphAttributes(old, fresh) {
  const own = (name) => name === "open" || (name === "class" && isClock(old)); // the reader's, and the ticking's
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !own(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (!own(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function morphChildren(old, fresh) {
  const wanted = new Set([...fresh.children].map(keyOf).filter(Boolean));
  const known = new Map();
  for (const child of [...old.children]) {
    const key = keyOf(child);
    if (key && !wanted.has(key)) child.remove(); // first, so that what stays need not move and keeps its focus
    else if (key) known.set(key, child);
  }
  let here = old.firstChild;
  for (const node of [...fresh.childNodes]) {
    const key = keyOf(node);
    const match = key ? known.get(key) : find(here, (one) => alike(one, node));
    if (!match) {
      old.insertBefore(document.importNode(node, true), here);
      continue;
    }
    if (find(here, (one) => one === match)) here = removeUpTo(match, here).nextSibling;
    else old.insertBefore(match, here);
    morph(match, node);
  }
  removeUpTo(null, here);
}

/** Return the next node that is right, without passing one that has a key. */
function find(here, right) {
  for (; here; here = here.nextSibling) {
    if (!isNote(here) && right(here)) return here;
    if (keyOf(here)) return undefined;
  }
  return undefined;
}

/** Remove nodes from `here` to before `end` (null: all), except notes; return `end`. */
function removeUpTo(end, here) {
  while (here && here !== end) {
    const next = here.nextSibling;
    if (!isNote(here)) here.remove();
    here = next;
  }
  return end;
}

function look() {
  const seen = new Map();
  for (const card of live.querySelectorAll("[data-said]")) {
    seen.set(card.id, { top: card.getBoundingClientRect().top, said: card.dataset.said });
  }
  return seen;
}

function swap(html) {
  const before = look();
  const focused = document.activeElement;
  const card = focused.closest("[data-said]");
  const heading = focused.closest("section")?.querySelector("h2");
  morphChildren(live, new DOMParser().parseFromString(html, "text/html").body);
  tick();
  const after = look();
  for (const [id, now] of after) {
    const then = before.get(id);
    if (then && Math.abs(then.top - now.top) > 4) movedAt.set(id, performance.now());
    if (!then) document.getElementById(id).classList.add("fresh");
  }
  if (!focused.isConnected) (document.getElementById(card?.id ?? "") ?? heading ?? live).focus?.();
  announce(news(before, after));
  entitle();
}

function news(before, after) {
  const told = [];
  for (const [id, now] of after) {
    const then = before.get(id);
    if (!then) told.push(document.getElementById(id).dataset.new ?? now.said);
    else if (then.said !== now.said) told.push(now.said);
  }
  return told.length > 3 ? [...told.slice(0, 3), `And ${told.length - 3} more.`] : told;
}

function announce(sentences) {
  if (sentences.length) document.getElementById("announce").textContent = sentences.join(" ");
}

function entitle() {
  const waiting = Number(live.querySelector("[data-waiting]")?.dataset.waiting ?? 0);
  document.title = waiting ? `(${waiting}) ${page.title}` : page.title;
}

// --- the poll ---

function connection(words) {
  const line = document.getElementById("connection");
  if (line.textContent !== words) line.textContent = words;
  line.hidden = !words;
}

async function poll() {
  let retry = FIRST_RETRY_MS;
  for (;;) {
    try {
      const seen = retry === FIRST_RETRY_MS ? page.token : ""; // after a failure: the whole page, and at once
      const address = `${page.live}?after=${encodeURIComponent(seen)}`;
      const reply = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(POLL_MS) });
      if (reply.status === 401) {
        connection("You are signed out. Load the page again to sign in; what you see may be old.");
        return;
      }
      if (!reply.ok) throw new Error(String(reply.status));
      const told = await reply.json();
      while (pressing) await wait(50); // never pull a button away from under a finger
      ahead = told.now - Date.now();
      if (told.html !== undefined) swap(told.html);
      document.body.dataset.token = told.token;
      connection("");
      retry = FIRST_RETRY_MS;
    } catch {
      connection("Not connected: what you see may be old. Trying again…");
      await Promise.race([wait(retry), new Promise((done) => addEventListener("online", done, { once: true }))]);
      retry = Math.min(LAST_RETRY_MS, retry * 2);
    }
  }
}

function guardPresses() {
  const end = () => { pressing = false; };
  document.addEventListener("pointerdown", (event) => { pressing = event.target.closest("button, summary, a") !== null; });
  for (const name of ["pointerup", "pointercancel", "blur"]) window.addEventListener(name, end);
  document.addEventListener("click", (event) => {
    if (event.detail === 0 || !event.target.closest("button")) return; // a key presses what has the focus, wherever it is
    const moved = movedAt.get(event.target.closest("[data-said]")?.id);
    if (performance.now() - moved < SETTLE_MS) {
      event.preventDefault();
      announce(["The list moved as you pressed. Nothing was done; press again."]);
    }
  }, true);
  document.addEventListener("submit", (event) => {
    if (event.target.dataset.sent) event.preventDefault(); // a second press of the same button
    event.target.dataset.sent = "yes";
    event.submitter?.setAttribute("aria-busy", "true");
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      form.querySelector("[aria-busy]")?.removeAttribute("aria-busy");
    }
  });
}

function closeMenu() {
  const menu = document.querySelector(".you");
  if (!menu) return;
  document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

guardPresses();
closeMenu();
if (live && page.live) {
  tick();
  setInterval(tick, 500);
  entitle();
  document.querySelector("[data-note]")?.focus();
  poll();
}
