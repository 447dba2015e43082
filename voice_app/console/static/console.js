// The console's module: times in the visitor's zone, copying, dialogues, acts on calls, and what changes while
// somebody looks at it. Pages work on their marks (data-…): none has a script of its own.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// --- times ------------------------------------------------------------------------------------------

const FORMS = {
  clock: new Intl.DateTimeFormat(undefined, { timeStyle: "medium" }),
  "date-time": new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }),
};
const skew = Date.now() / 1000 - Number(document.body.dataset.now); // this clock against the server's

function showTimes(root) {
  for (const time of $$("time[data-time]", root)) {
    const form = FORMS[time.dataset.time];
    if (form) time.textContent = form.format(new Date(time.dateTime));
  }
}

function countOn() {
  for (const time of $$('time[data-time="since"]')) {
    const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(time.dateTime)) / 1000 - skew));
    const [hours, minutes, rest] = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map(Math.floor);
    const two = (number) => String(number).padStart(2, "0");
    const text = hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
    if (time.textContent !== text) time.textContent = text;
  }
}

// --- acts -------------------------------------------------------------------------------------------

function toast(text, bad = false) {
  const place = $("#toast");
  place.textContent = text;
  place.className = `toast shown${bad ? " bad" : ""}`;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => place.classList.remove("shown"), bad ? 8000 : 3000);
}

/** POST JSON to the API; what is wrong, or an empty text. */
async function post(address, fields = {}) {
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": $("meta[name=csrf]")?.content ?? "" };
  try {
    const response = await fetch(address, { method: "POST", headers, body: JSON.stringify(fields) });
    if (response.ok) return "";
    const told = await response.json().catch(() => ({}));
    return told.error ?? `The server answered ${response.status}.`;
  } catch {
    return "The server does not answer. Try again.";
  }
}

function fieldsOf(form) {
  const named = [...form.elements].filter((input) => input.name && (input.type !== "radio" || input.checked));
  return Object.fromEntries(named.map((input) => {
    if (input.type === "checkbox") return [input.name, input.checked];
    return [input.name, input.dataset.is === "boolean" ? input.value === "true" : input.value];
  }));
}

async function act(form, button) {
  button.disabled = true;
  const problem = await post(button.dataset.act ?? form.dataset.act, fieldsOf(form));
  button.disabled = false;
  const place = $(".problem", form);
  if (place) place.textContent = problem;
  if (problem) {
    if (!place) toast(problem, true);
    return;
  }
  form.reset();
  form.closest("dialog")?.close();
  toast(form.dataset.done ?? "Done.");
  if (form.dataset.reload !== undefined) location.reload();
}

document.addEventListener("submit", (event) => {
  const button = event.submitter ?? $("button:not([type=button])", event.target);
  if (!event.target.dataset.act && !button.dataset.act) return;
  event.preventDefault();
  act(event.target, button);
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { copy, opens, closes } = button.dataset;
  if (copy !== undefined) {
    await navigator.clipboard.writeText(copy).then(() => toast("Copied."), () => toast("The browser does not let pages copy here.", true));
  } else if (opens) {
    const dialog = document.getElementById(opens);
    // One dialogue may serve all rows of a table: the button says for which call.
    if (button.dataset.act) $("form", dialog).dataset.act = button.dataset.act;
    if (button.dataset.about) $("[data-about-here]", dialog).textContent = button.dataset.about;
    dialog.showModal();
  } else if (closes !== undefined) {
    button.closest("dialog").close();
  }
});

// --- the feed ---------------------------------------------------------------------------------------

const SILENT_SECONDS = 40; // the server says something every 15

/** Follow a feed from the entry `after` on; says since when it is gone, and goes on where it was. */
function follow(address, after, take, lost) {
  const place = $("#stale");
  let last = after;
  let timer;
  const gone = () => {
    if (place.hidden) place.textContent = `Stale since ${FORMS.clock.format(new Date())}: the server does not answer.`;
    place.hidden = false;
  };
  const heard = (source) => {
    place.hidden = true;
    clearTimeout(timer);
    timer = setTimeout(() => { gone(); source.close(); open(); }, SILENT_SECONDS * 1000);
  };
  const open = () => {
    const source = new EventSource(`${address}${address.includes("?") ? "&" : "?"}after=${last}`);
    source.onopen = () => heard(source);
    source.onmessage = (event) => {
      heard(source);
      last = event.lastEventId;
      take(JSON.parse(event.data));
    };
    source.addEventListener("beat", () => heard(source));
    source.addEventListener("gap", lost);
    source.addEventListener("alarm", (event) => {
      const { alarm } = JSON.parse(event.data);
      const bar = $("#alarm");
      if (!bar) return; // not for the person who takes a call
      bar.textContent = alarm;
      bar.hidden = !alarm;
    });
    source.onerror = () => {
      gone();
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 2000); // else the browser tries by itself
    };
  };
  addEventListener("offline", gone);
  open();
}

/** Calls `work` soon after something has changed, and at most once in so many milliseconds. */
function paced(milliseconds, work) {
  let timer, running = false, again = false;
  const run = async () => {
    running = true;
    again = false;
    await work().catch(() => { again = true; });
    setTimeout(() => { running = false; if (again) run(); }, milliseconds);
  };
  return () => {
    again = true;
    if (!running) { clearTimeout(timer); timer = setTimeout(run, 50); }
  };
}

async function fetched(address) {
  const response = await fetch(address, { headers: { Accept: "text/html" } });
  if (!response.ok || response.redirected) throw new Error(`${address}: ${response.status}`);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  remember(page);
  showTimes(page);
  return page;
}

const sources = new WeakMap(); // what the server wrote of an element, before times were put into this zone

function remember(root) {
  for (const element of $$("[id]", root)) sources.set(element, element.outerHTML);
}

/** Put `fresh` in the place of `old`; the focus stays where it was. */
function replace(old, fresh) {
  if (sources.get(old) === sources.get(fresh)) return;
  const focused = $$("a, button, input, summary", old).indexOf(document.activeElement);
  const open = $$("details", old).map((details) => details.open);
  old.replaceWith(fresh);
  $$("details", fresh).forEach((details, at) => { details.open = open[at] ?? details.open; });
  if (focused >= 0) $$("a, button, input, summary", fresh)[focused]?.focus();
}

// --- Live -------------------------------------------------------------------------------------------

/** Entries that change more of a row than its words. */
const CHANGES = new Set(["opened", "connected", "reconnected", "agent", "variant", "handoff", "closed", "failure",
  "supervised", "action", "session-ended", "disconnected", "voicemail", "answer", "served"]);

function live(place) {
  const rows = $("#rows");
  const changed = new Set();
  const replies = new Map(); // by call: what was sent of the reply that grows
  const title = document.title;
  let unseen = 0;

  const refresh = paced(1000, async () => {
    const asked = [...changed].slice(0, 100);
    asked.forEach((sid) => changed.delete(sid));
    try {
      merge(asked, await fetched(`/console/live?${new URLSearchParams({ calls: asked.join() })}`));
    } catch (error) {
      asked.forEach((sid) => changed.add(sid));
      throw error;
    }
    if (changed.size) refresh();
  });

  function merge(asked, page) {
    const first = rows.firstElementChild;
    for (const sid of asked) {
      const [old, fresh] = [document.getElementById(sid), page.getElementById(sid)];
      if (old && fresh) replace(old, fresh);
      else if (fresh) rows.insertBefore(fresh, first);
      else { old?.remove(); replies.delete(sid); }
    }
    replace($("#tiles"), page.getElementById("tiles"));
    $("#count-live").textContent = rows.children.length;
    $("#count-waiting").textContent = $$('[data-state="waiting"]', rows).length;
    $("#nobody").hidden = rows.children.length > 0;
    $(".table", place).hidden = rows.children.length === 0;
  }

  function ask(sid) {
    changed.add(sid);
    refresh();
  }

  function say(row, by, text, at) {
    $(".by", row).textContent = by;
    $(".said", row).textContent = text.slice(0, 200);
    $(".silence time", row).dateTime = new Date(at * 1000).toISOString();
    sources.delete(row);
  }

  function take({ call_sid: sid, at, event }) {
    if (!/^CA/.test(sid)) return;
    const row = document.getElementById(sid);
    tell(sid, event, row);
    if (!row || CHANGES.has(event.kind)) {
      if (row || event.kind !== "follow-up") ask(sid);
    } else if (event.kind === "reply") {
      const known = replies.get(sid);
      const text = event.begin ? known?.reply === event.reply && known.text.slice(0, event.begin) + event.text : event.text;
      if (typeof text !== "string") return ask(sid);
      replies.set(sid, { reply: event.reply, text });
      say(row, "agent", text, at);
      if (event.total_ms !== null && row.dataset.failures !== "0") ask(sid);
    } else if (event.kind === "heard" && event.text) say(row, "agent", event.text, at);
    else if (event.kind === "prompt") event.text ? say(row, "caller", event.text, at) : ask(sid);
    else if (event.kind === "keys") ask(sid);
    else if (event.kind === "transcript" && event.final !== false) say(row, event.speaker, event.text, at);
  }

  function tell(sid, event, row) {
    const who = (row && $("th a", row).textContent) || "A caller";
    if (event.kind === "handoff" && event.step === "requested") notice(sid, "warn", `${who} asks for a person`, event.reason);
    else if (event.kind === "failure" && event.what === "agent") notice(sid, "bad", `The agent failed: ${who}`, event.detail);
    else if (event.kind === "failure" && /^STT20[12]$/.test(event.what)) notice(sid, "bad", `${event.what}: ${who}`, event.detail);
  }

  function notice(sid, kind, text, detail) {
    const item = document.createElement("li");
    item.className = `notice ${kind}`;
    const link = document.createElement("a");
    link.href = `/console/calls/${sid}`;
    link.textContent = "Open";
    const words = document.createElement("bdi");
    words.className = "text";
    words.textContent = detail ? `${text} (${detail.slice(0, 120)})` : text;
    const done = document.createElement("button");
    done.className = "quiet small";
    done.textContent = "Dismiss";
    done.onclick = () => item.remove();
    item.append(FORMS.clock.format(new Date()), words, link, done);
    $("#notices").prepend(item);
    $$("#notices li").slice(5).forEach((old) => old.remove());
    if (document.hidden) document.title = `(${++unseen}) ${title}`;
    if ($("#sound").checked) beep();
    if ($("#notify").checked && window.Notification?.permission === "granted") new Notification(text, { body: detail, tag: sid });
  }

  document.addEventListener("visibilitychange", () => {
    unseen = 0;
    document.title = title;
  });
  for (const box of [$("#sound"), $("#notify")]) {
    box.checked = localStorage.getItem(box.id) === "on";
    box.onchange = async () => {
      if (box.id === "notify" && box.checked) box.checked = (await window.Notification?.requestPermission()) === "granted";
      localStorage.setItem(box.id, box.checked ? "on" : "off");
    };
  }
  follow("/api/v1/feed", place.dataset.after, take, () => location.reload());
  setInterval(() => !document.hidden && refresh(), 15000); // servers come and go without a call
}

function beep() {
  const audio = (beep.audio ??= new AudioContext());
  const [tone, loudness] = [audio.createOscillator(), audio.createGain()];
  loudness.gain.setValueAtTime(0.15, audio.currentTime);
  loudness.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.4);
  tone.frequency.value = 660;
  tone.connect(loudness).connect(audio.destination);
  tone.start();
  tone.stop(audio.currentTime + 0.4);
}

// --- a call -----------------------------------------------------------------------------------------

/** Make a list what `fresh` is, by the ids of its items; what stays the same is left alone. */
function mergeList(list, fresh) {
  const place = list.parentElement;
  const atEnd = place.scrollHeight - place.scrollTop - place.clientHeight < 60;
  const kept = new Set([...fresh.children].map((item) => item.id));
  for (const item of [...list.children]) if (!kept.has(item.id)) item.remove();
  let next = list.firstElementChild;
  for (const item of [...fresh.children]) {
    const old = document.getElementById(item.id);
    if (!old) {
      list.insertBefore(item, next);
      continue;
    }
    if (old === next) next = next.nextElementSibling;
    else list.insertBefore(old, next);
    replace(old, item);
  }
  if (atEnd) place.scrollTop = place.scrollHeight;
}

function call(place) {
  const list = $("#dialogue");
  const refresh = paced(400, async () => {
    const page = await fetched(place.dataset.parts);
    for (const fresh of $$("[data-part]", page)) {
      const old = document.getElementById(fresh.id);
      const typed = $$("input", old).some((input) => input === document.activeElement || input.value);
      if (!typed) replace(old, fresh); // what somebody types is not taken away
    }
    mergeList(list, page.getElementById("dialogue"));
  });
  list.parentElement.scrollTop = list.parentElement.scrollHeight;
  follow(place.dataset.feed, place.dataset.after, refresh, refresh);
}

document.addEventListener("toggle", async ({ target }) => {
  const place = target.open && target.dataset?.loads && $(".loaded", target);
  if (place) place.replaceChildren(...(await fetched(target.dataset.loads)).body.children);
}, true);

// --- the phone --------------------------------------------------------------------------------------

/** What happens on the line, in words; the rest stands in the dialogue as it is said. */
const ON_THE_LINE = {
  session: "The agent is on the line", dropped: "The connection to the agent is broken", "came-back": "The agent's session came back",
  broken: "The agent's session broke", transcribing: "A transcription begins", rings: "Rings", unreached: "Nobody reached",
  whisper: "The person hears", "person-key": "The person presses", bridged: "The caller and the person hear each other",
  left: "The person has left", queued: "In the queue", studio: "A Studio flow has the call", recorded: "Recorded", redirected: "Sent on",
  sound: "Sound", "hung-up": "You hang up", ended: "The call is over", problem: "Problem", refused: "Not possible",
};
const FRAMES_KEPT = 200;

function phone() {
  const [heard, controls, words, frames] = ["#heard", "#controls", "#words", "#frames"].map((id) => $(id));
  const latencies = [];
  const aloud = $("#aloud");
  let socket, speaking, clause = "";

  const tell = (fields) => socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify(fields));

  function line(who, text) {
    const item = document.createElement("li");
    item.className = who;
    if (who !== "event") {
      const by = document.createElement("span");
      by.className = "by";
      by.textContent = who;
      item.append(by);
    }
    const said = document.createElement("bdi");
    said.className = "said";
    said.textContent = text;
    item.append(said);
    const place = heard.parentElement;
    const atEnd = place.scrollHeight - place.scrollTop - place.clientHeight < 60;
    heard.append(item);
    if (atEnd) place.scrollTop = place.scrollHeight;
    return said;
  }

  function say(text, whole) {
    clause += text;
    if (!whole && !/[.,!?;:]\s*$/.test(clause)) return;
    if (aloud.ariaPressed === "true" && clause.trim()) speechSynthesis.speak(new SpeechSynthesisUtterance(clause.trim()));
    clause = "";
  }

  function happened({ kind, text, first_token_ms: first }) {
    if (kind === "word") {
      speaking ??= line("agent", "");
      speaking.classList.add("partial");
      speaking.append(text);
      say(text, false);
    } else if (kind === "agent" || kind === "interrupt") {
      const said = speaking ?? line("agent", text);
      said.textContent = text;
      said.classList.remove("partial");
      if (kind === "interrupt") {
        const cut = document.createElement("small");
        cut.textContent = " — cut in";
        said.after(cut);
        window.speechSynthesis?.cancel();
        clause = "";
      } else say("", true);
      speaking = undefined;
      if (first !== null && first !== undefined) latency(first);
    } else if (kind === "sent" || kind === "received") frame(kind, text);
    else if (kind === "twiml") document_(text);
    else if (kind === "call") {
      $("#open").href = `/console/calls/${text}`;
      $("#open").hidden = false;
    } else if (kind === "caller" || kind === "person" || kind === "voice") {
      line(kind === "voice" ? "agent" : kind, text);
      if (kind !== "caller") say(text, true);
    } else if (kind === "key") line("caller", `(pressed ${text})`);
    else line("event", ON_THE_LINE[kind] + (text && kind !== "session" ? `: ${text}` : ""));
    if (kind === "bridged" || kind === "left") withPerson(kind === "bridged");
  }

  function withPerson(on) {
    $("#person-says").hidden = $("#person-hangs-up").hidden = !on;
  }

  function latency(milliseconds) {
    latencies.push(milliseconds);
    const sorted = [...latencies].sort((one, other) => one - other);
    const whole = (number) => `${Math.round(number)} ms`;
    $("#latency").textContent = `last ${whole(milliseconds)}, median ${whole(sorted[Math.floor(sorted.length / 2)])}, worst ${whole(sorted.at(-1))}`;
  }

  function frame(way, text) {
    frames.append(`${way === "sent" ? "→" : "←"} ${text}\n`);
    while (frames.childNodes.length > FRAMES_KEPT) frames.firstChild.remove();
    frames.scrollTop = frames.scrollHeight;
  }

  function document_(text) {
    const shown = document.createElement("pre");
    shown.tabIndex = 0;
    shown.textContent = text.trim();
    $("#documents").prepend(shown);
  }

  function onTheLine(on) {
    $("#line").textContent = on ? "on the line" : "not on the line";
    $("#line").classList.toggle("good", on);
    controls.disabled = !on;
    $("#dial button").disabled = on;
    if (!on) withPerson(false);
  }

  $("#dial").addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = fieldsOf(event.target);
    heard.replaceChildren();
    frames.replaceChildren();
    $("#documents").replaceChildren();
    latencies.length = 0;
    speaking = undefined;
    socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/console/phone/call`);
    socket.onopen = () => {
      onTheLine(true);
      tell({ do: "call", from: wanted.from, to: wanted.to, people: [wanted.people], silent: wanted.silent, pace: Number(wanted.pace) });
      words.focus();
    };
    socket.onmessage = (event) => happened(JSON.parse(event.data));
    socket.onclose = () => onTheLine(false);
  });
  $("#say").addEventListener("submit", (event) => {
    event.preventDefault();
    if (words.value.trim()) tell({ do: event.submitter?.dataset.do ?? "say", text: words.value });
    words.value = "";
    words.focus();
  });
  controls.addEventListener("click", ({ target }) => {
    if (target.dataset.key) tell({ do: "press", keys: target.dataset.key });
    else if (target.dataset.do && target.type === "button") tell({ do: target.dataset.do });
  });

  if (window.speechSynthesis) {
    aloud.hidden = false;
    aloud.onclick = () => {
      aloud.ariaPressed = String(aloud.ariaPressed !== "true");
      speechSynthesis.cancel();
    };
  }
  const Recognition = window.SpeechRecognition ?? window.webkitSpeechRecognition;
  if (Recognition) {
    const listen = $("#listen");
    const ear = new Recognition();
    ear.continuous = true;
    ear.lang = navigator.language;
    ear.onresult = ({ results, resultIndex }) => tell({ do: "say", text: results[resultIndex][0].transcript.trim() });
    ear.onerror = ({ error }) => toast(`The browser does not listen: ${error}`, true);
    ear.onend = () => { listen.ariaPressed = "false"; };
    listen.hidden = false;
    listen.onclick = () => {
      if (listen.ariaPressed === "true") return ear.stop();
      ear.start();
      listen.ariaPressed = "true";
    };
  }
}

// --- Calls: saved views ------------------------------------------------------------------------------

/** Views are kept in this browser, for each user: a name, and what is searched for. */
function savedViews(place) {
  const key = `views of ${place.dataset.views}`;
  const read = () => { try { return JSON.parse(localStorage.getItem(key)) ?? {}; } catch { return {}; } };
  const show = () => {
    const views = Object.entries(read()).sort();
    $("ul", place).replaceChildren(...views.map(([name, query]) => {
      const [item, link, gone] = ["li", "a", "button"].map((tag) => document.createElement(tag));
      link.href = `${location.pathname}?${new URLSearchParams(query)}`;
      link.textContent = name;
      gone.className = "quiet small";
      gone.textContent = "×";
      gone.setAttribute("aria-label", `Remove the view ${name}`);
      gone.onclick = () => keep((kept) => { delete kept[name]; });
      item.append(link, gone);
      return item;
    }));
    place.hidden = views.length === 0 && !$("form", place);
  };
  const keep = (change) => {
    const views = read();
    change(views);
    localStorage.setItem(key, JSON.stringify(views));
    show();
  };
  $("form", place)?.addEventListener("submit", (event) => {
    event.preventDefault();
    const query = new URLSearchParams(location.search);
    query.delete("cursor");
    [...query].forEach(([name, value]) => value || query.delete(name, value));
    keep((views) => { views[event.target.elements.view.value.trim()] = query.toString(); });
    event.target.reset();
    toast("Saved in this browser.");
  });
  show();
}

// --- start ------------------------------------------------------------------------------------------

remember(document);
showTimes(document);
countOn();
setInterval(countOn, 1000);
if ($("#live")) live($("#live"));
if ($("#call")) call($("#call"));
if ($("#phone")) phone();
if ($("[data-views]")) savedViews($("[data-views]"));
