// Keeps the page of a room up to date: by WebSocket; where that does not get through, by events; else by long-polls.
// ?by=events or ?by=polls begins further down the list, to see that it works.
"use strict";

const log = document.getElementById("log");
const list = document.getElementById("messages");
const form = document.getElementById("say");
const state = document.getElementById("state");
const here = document.getElementById("here");

const PATIENCE = 2; // failures in a row, before one success, after which the next way is tried
const PAUSE = 1000, LONGEST_PAUSE = 15000, HEARTBEAT = 5000;
const MOST = 500; // messages on the page

let cursor = list.dataset.cursor;
let failures = 0;
let isProven = false; // the present way has worked
let way; // how we listen now, and what ends that
let stop = () => {};

// --- showing ---

function say(text) {
  if (state.textContent !== text) state.textContent = text; // a screen reader speaks every change
}

function clock(time) {
  const date = new Date(time.dateTime);
  time.textContent = date.toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"});
  time.title = date.toLocaleString();
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text; // never as HTML: it came from somebody
  return made;
}

function add(item) {
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  list.append(item);
  while (list.children.length > MOST) list.firstElementChild.remove();
  if (isAtEnd) log.scrollTop = log.scrollHeight;
}

function show(data) {
  if (data.here !== undefined) {
    here.textContent = data.here === 1 ? "1 here" : data.here + " here";
    return;
  }
  const item = document.createElement("li"), time = document.createElement("time");
  time.dateTime = new Date(data.at * 1000).toISOString();
  clock(time);
  item.append(element("b", data.from), " ", time, " ", element("span", data.text));
  add(item);
}

function showGap() {
  const item = element("li", "Some messages in between are no longer there.");
  item.className = "note";
  add(item);
}

// --- three ways to listen; each goes on behind `cursor` ---

function address() {
  return list.dataset.live + "?after=" + encodeURIComponent(cursor);
}

function works(text) {
  failures = 0;
  isProven = true;
  say(text);
}

function listen(how) {
  way = how;
  how();
}

// Tries again, or the next way, if there is one and this has never worked.
function later(how, next) {
  failures++;
  if (next && !isProven && failures >= PATIENCE) {
    failures = 0;
    listen(next);
    return;
  }
  say("reconnecting ...");
  const pause = Math.min(PAUSE * 2 ** (failures - 1), LONGEST_PAUSE) * (0.5 + Math.random());
  const timer = setTimeout(listen, pause, how);
  stop = () => clearTimeout(timer);
}

function bySocket() {
  const socket = new WebSocket(location.origin.replace(/^http/, "ws") + address());
  const beat = setInterval(() => socket.readyState === WebSocket.OPEN && socket.send("?"), HEARTBEAT);
  socket.onmessage = event => {
    const message = JSON.parse(event.data);
    if (message.connection) works(`live: connection ${message.connection}, generation ${message.generation}`);
    if (message.gap) showGap();
    if (message.data) show(message.data);
    if (message.cursor) cursor = message.cursor;
  };
  socket.onclose = () => {
    clearInterval(beat);
    later(bySocket, byEvents);
  };
  stop = () => {
    clearInterval(beat);
    socket.onclose = null;
    socket.close();
  };
}

function byEvents() {
  const source = new EventSource(address());
  source.onopen = () => works("live by events");
  source.addEventListener("gap", showGap);
  source.onmessage = event => {
    show(JSON.parse(event.data));
    cursor = event.lastEventId || cursor;
  };
  source.onerror = () => {
    source.close();
    later(byEvents, byPolls);
  };
  stop = () => source.close();
}

async function byPolls() {
  const control = new AbortController();
  stop = () => control.abort();
  try {
    const answer = await fetch(address(), {headers: {Accept: "application/json"}, signal: control.signal});
    if (!answer.ok) throw new Error("status " + answer.status);
    works("live by long-polls");
    if (answer.headers.get("Topic-Gap")) showGap();
    cursor = answer.headers.get("Topic-Cursor") || cursor;
    if (answer.status === 200) {
      const batch = await answer.json();
      batch.items.forEach(show);
      cursor = batch.cursor;
    }
    byPolls();
  } catch {
    if (!control.signal.aborted) later(byPolls);
  }
}

// --- saying something ---

async function send(event) {
  event.preventDefault();
  try {
    const answer = await fetch(form.action, {
      method: "POST", headers: {Accept: "application/json"}, body: new URLSearchParams(new FormData(form)),
    });
    if (!answer.ok) throw new Error((await answer.json()).error);
    form.elements.text.value = "";
  } catch (error) {
    say("not sent: " + error.message);
  }
  form.elements.text.focus();
}

function remember(field) {
  try {
    field.value = field.value || localStorage.getItem("name") || "";
    field.onchange = () => localStorage.setItem("name", field.value);
  } catch { /* a browser that keeps nothing */ }
}

form.onsubmit = send;
remember(form.elements.from);
document.querySelectorAll("time").forEach(clock);
log.scrollTop = log.scrollHeight;
const ways = {events: byEvents, polls: byPolls};
listen(ways[new URLSearchParams(location.search).get("by")] || bySocket);
// A browser may keep a page that was left, with its connection, for the button "back".
addEventListener("pagehide", () => stop());
addEventListener("pageshow", event => event.persisted && listen(way));
