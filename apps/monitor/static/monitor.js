// Keeps the list up to date: what changes comes by WebSocket, as lines that the server has made.
"use strict";

const list = document.getElementById("tasks");
const state = document.getElementById("state");
const count = document.getElementById("count");
const add = document.getElementById("add");

const PAUSE = 1000, LONGEST_PAUSE = 15000;

let cursor = list.dataset.cursor;
let failures = 0;
let stop = () => {}; // ends listening
const versions = new Map(); // id -> what is shown of a task, also of one that is gone

function say(text) {
  if (state.textContent !== text) state.textContent = text; // a screen reader speaks every change
}

function countOpen() {
  count.textContent = list.querySelectorAll("li:not(.done)").length + " open";
}

function lineOf(html) {
  const template = document.createElement("template");
  template.innerHTML = html; // from our server, which has escaped what people wrote
  return template.content.querySelector("li");
}

// The keyboard's place is kept when the line that it is on changes.
function exchange(old, line) {
  const control = old.contains(document.activeElement) && document.activeElement.localName;
  if (line) old.replaceWith(line);
  else old.remove();
  if (control) (line ? line.querySelector(control) : list).focus();
}

function show(change) {
  if (change.version <= (versions.get(change.id) || 0)) return;
  versions.set(change.id, change.version);
  const old = document.getElementById("task-" + change.id);
  const line = change.html ? lineOf(change.html) : null;
  if (old) exchange(old, line);
  else if (line) list.append(line);
  countOpen();
}

function listen() {
  const address = list.dataset.live + "?after=" + encodeURIComponent(cursor);
  const socket = new WebSocket(location.origin.replace(/^http/, "ws") + address);
  socket.onopen = () => {
    failures = 0;
    say("live");
  };
  socket.onmessage = event => {
    const message = JSON.parse(event.data);
    if (message.gap) location.reload(); // too much was missed: the page has it all
    if (message.data) show(message.data);
    if (message.cursor) cursor = message.cursor;
  };
  socket.onclose = () => {
    say("reconnecting ...");
    const timer = setTimeout(listen, Math.min(PAUSE * 2 ** failures++, LONGEST_PAUSE) * (0.5 + Math.random()));
    stop = () => clearTimeout(timer);
  };
  stop = () => {
    socket.onclose = null;
    socket.close();
  };
}

async function send(event) {
  const form = event.target;
  event.preventDefault();
  try {
    const answer = await fetch(form.action, {
      method: "POST", headers: {Accept: "application/json"},
      body: new URLSearchParams(new FormData(form, event.submitter)),
    });
    const result = await answer.json();
    if (!answer.ok) throw new Error(result.error);
    show(result);
    if (form === add) form.reset();
  } catch (error) {
    say("not saved: " + error.message);
  }
}

for (const line of list.children) versions.set(Number(line.id.slice("task-".length)), Number(line.dataset.version));
add.addEventListener("submit", send);
list.addEventListener("submit", send);
countOpen();
listen();
// A browser may keep a page that was left, with its connection, for the button "back".
addEventListener("pagehide", () => stop());
addEventListener("pageshow", event => event.persisted && listen());
