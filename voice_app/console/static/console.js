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

async function act(form) {
  const button = $("button:not([type=button])", form);
  button.disabled = true;
  const problem = await post(form.dataset.act, fieldsOf(form));
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
  if (!event.target.dataset.act) return;
  event.preventDefault();
  act(event.target);
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

// --- start ------------------------------------------------------------------------------------------

showTimes(document);
countOn();
setInterval(countOn, 1000);
