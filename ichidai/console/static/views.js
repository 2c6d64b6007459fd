/**
 * Views, texts and notices. The server wrote every text into the page in the person's language; this module only
 * chooses and fills, and never makes markup out of data.
 */
const main = document.querySelector("main");
const views = new Map([...main.querySelectorAll("[data-view]")].map((view) => [view.dataset.view, view]));
const texts = document.querySelector("#texts").content;
const dialogs = document.querySelector("#dialogs").content;
const language = document.documentElement.lang;
const locale = navigator.languages.find((own) => own.split("-")[0] === language) ?? language;
const moment = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });

for (const view of views.values()) view.remove();

/** Return a text of the page by its name, with what is in braces filled in; undefined where there is none. */
export function text(name, facts = {}) {
  const words = texts.querySelector(`[data-text="${CSS.escape(name)}"]`)?.textContent;
  return words?.replace(/\{(\w+)\}/g, (_, fact) => facts[fact]);
}

/** Return the part of an element that has this name. */
export const part = (root, name) => root.querySelector(`[data-part="${name}"]`);

/** Return a view by its name, whether it is shown or not; undefined where this app has none of the name. */
export const view = (name) => views.get(name);

/** Return the name of the view that is shown. */
export const shown = () => main.querySelector(":scope > [data-view]")?.dataset.view;

/** Show one view alone; the others are taken out of the page, so that no name is there twice. */
export function show(name) {
  if (shown() === name) return;
  for (const other of views.values()) other.remove();
  const next = view(name);
  next.hidden = false;
  main.append(next);
  document.title = `${next.dataset.title} · Ichidai`;
  scrollTo(0, 0);
}

/** Let a view's heading have the focus, so that a screen reader reads on from there. */
export const focusHeading = (name) => view(name).querySelector("h1").focus({ preventScroll: true });

/** Return a dialog by its name, whether it is open or not. */
export const dialog = (name) => document.querySelector(`#${name}`) ?? dialogs.querySelector(`#${name}`);

/** Open a dialog; it is in the page only while it is open. Returns what it was closed with. */
export function open(opened) {
  document.body.append(opened);
  opened.returnValue = "";
  opened.showModal();
  return new Promise((resolve) => {
    const close = () => {
      dialogs.append(opened);
      resolve(opened.returnValue);
    };
    opened.addEventListener("close", close, { once: true });
  });
}

/** Write a time for people. */
export const timeText = (value) => moment.format(new Date(value));

/** Return a device's name, or words for one that has none. */
export const nameOf = (device) => device.device_name ?? text("unknown_device");

/** Write values into the fields of an element; times are written for people. */
export function fill(root, values) {
  for (const field of root.querySelectorAll("[data-field]")) {
    const value = values[field.dataset.field];
    if (value === undefined) continue;
    if (field instanceof HTMLTimeElement && value !== null) field.dateTime = value;
    field.textContent = value === null ? "–" : field instanceof HTMLTimeElement ? timeText(value) : value;
  }
  return root;
}

/** Fill a list of a view with a row for each value; `each` may change the row that belongs to a value. */
export function fillList(root, name, values, each = () => {}) {
  const row = root.querySelector(`template[data-row="${name}"]`).content.firstElementChild;
  const rows = values.map((value) => {
    const item = fill(row.cloneNode(true), value);
    each(item, value);
    return item;
  });
  part(root, name).replaceChildren(...rows);
}

/** Say something in a view; with `bad` it is a failure. Without words, say nothing any more. */
export function say(root, words, { bad = false, name = "notice" } = {}) {
  const notice = part(root, name);
  notice.hidden = !words;
  notice.setAttribute("role", bad ? "alert" : "status");
  notice.classList.toggle("bad", bad);
  notice.classList.toggle("good", !bad);
  notice.textContent = words ?? "";
}

/** Return what a person is told of a failure: our own words where we have some, else the server's. */
export const wordsFor = ({ code, document, message }) =>
  text(`${code}_${document?.field}`) ?? text(code) ?? message;

/** Run something for a person, once at a time; a failure is said in the view. */
export async function attempt(root, work) {
  if (root.getAttribute("aria-busy") === "true") return;
  root.setAttribute("aria-busy", "true");
  say(root, null);
  try {
    await work();
  } catch (failure) {
    say(root, wordsFor(failure), { bad: true });
  } finally {
    root.removeAttribute("aria-busy");
  }
}

/** Let a click run something for a person. */
export function onClick(root, name, work) {
  part(root, name).addEventListener("click", () => attempt(root, work));
}

/** Let a form's submission run `work` with its fields that hold something, as text without the space around it. */
export function onSubmit(root, form, work) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(root, () => work(fieldsOf(form)));
  });
}

function fieldsOf(form) {
  const held = [...new FormData(form)].map(([name, value]) => [name, name === "password" ? value : value.trim()]);
  return Object.fromEntries(held.filter(([, value]) => value !== ""));
}
