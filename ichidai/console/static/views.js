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
const ago = new Intl.RelativeTimeFormat(locale);
const now = new Intl.RelativeTimeFormat(locale, { numeric: "auto" }).format(0, "second");

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

/** Take a view that was fetched later. */
export const adopt = (added) => views.set(added.dataset.view, added);

/** Return the name of the view that is shown. */
export const shown = () => main.querySelector(":scope > [data-view]")?.dataset.view;

/** Show one view alone; the others are taken out of the page, so that no name is there twice. */
export function show(name) {
  if (shown() === name) return;
  for (const other of views.values()) other.remove();
  const next = view(name);
  next.hidden = false;
  main.append(next);
  document.title = `${next.dataset.title} · ${document.documentElement.dataset.brand}`;
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

const UNITS = [["year", 31_536_000], ["month", 2_592_000], ["day", 86_400], ["hour", 3600], ["minute", 60]];
const AGO_MS = 30_000; // how often what is shown is written anew

/** Write for people how long ago a time was; a clock that is behind the server's makes nothing come. */
function agoText(value) {
  const seconds = Math.max(0, (Date.now() - new Date(value)) / 1000);
  const [unit, length] = UNITS.find(([, each]) => seconds >= each) ?? [];
  return unit ? ago.format(-Math.floor(seconds / length), unit) : now;
}

setInterval(() => {
  for (const time of main.querySelectorAll("time[data-ago][datetime]")) time.textContent = agoText(time.dateTime);
}, AGO_MS);

/** Return a device's name, or words for one that has none. */
export const nameOf = (device) => device.device_name ?? text("unknown_device");

/** Write values into the fields of an element; times are written for people. */
export function fill(root, values) {
  for (const field of root.querySelectorAll("[data-field]")) {
    const value = values[field.dataset.field];
    if (value === undefined) continue;
    if (field instanceof HTMLTimeElement && value !== null) fillTime(field, value);
    else field.textContent = value ?? "–";
  }
  return root;
}

/** Write a time, or how long ago it was, with the time itself as the title. */
function fillTime(field, value) {
  const isAgo = "ago" in field.dataset;
  field.dateTime = value;
  field.textContent = isAgo ? agoText(value) : timeText(value);
  if (isAgo) field.title = timeText(value);
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

/** What a user typed wrong: said beside the field of that name, where the form has it. */
export class Mistake extends Error {
  /** @param {string} words @param {string} field */
  constructor(words, field) {
    super(words);
    this.fields = [field];
  }
}

const FIELDS = {
  "username-taken": ["new_username", "username"],
  "email-taken": ["email"],
  "weak-password": ["new_password", "password"],
  "otp-required": ["otp"],
  "otp-invalid": ["otp"],
  "recovery-code-invalid": ["recovery_code"],
  "qr-invalid": ["qr_code"],
  "pairing-token-spent": ["qr_code"],
  "pairing-token-foreign": ["qr_code"],
};

/** Return the field of a form that a failure is about, if a user sees it there. */
function fieldOf(form, { code, document, fields }) {
  const named = [document?.field, ...(document?.fields ?? [])].filter(Boolean);
  const names = fields ?? FIELDS[code] ?? named.flatMap((name) => [name, `new_${name}`]);
  const inputs = names.map((name) => form?.elements.namedItem(name));
  return inputs.find((input) => input && !input.closest("[hidden]"));
}

/** Say beside a field what is wrong with it, and let it have the focus. */
export function complain(input, words) {
  const said = document.createElement("p");
  said.id = `${input.id}_error`;
  said.className = "error";
  said.textContent = words;
  input.closest(".field").append(said);
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", `${said.id} ${input.getAttribute("aria-describedby") ?? ""}`.trim());
  input.closest("details")?.setAttribute("open", "");
  input.focus();
}

/** Take back what is said beside the fields of a view. */
function clear(root) {
  for (const input of root.querySelectorAll("[aria-invalid]")) {
    const [said, ...hints] = input.getAttribute("aria-describedby").split(" ");
    root.querySelector(`#${said}`).remove();
    input.removeAttribute("aria-invalid");
    if (hints.length) input.setAttribute("aria-describedby", hints.join(" "));
    else input.removeAttribute("aria-describedby");
  }
}

/**
 * Say something at the head of a view; with `bad` it is a failure. Without words, say nothing any more, also beside its
 * fields.
 */
export function say(root, words, { bad = false, name = "notice" } = {}) {
  if (!words && name === "notice") clear(root);
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

/** Run something for a person, once at a time; a failure is said at its field in the form, or in the view. */
export async function attempt(root, work, form = null) {
  if (root.getAttribute("aria-busy") === "true") return;
  root.setAttribute("aria-busy", "true");
  say(root, null);
  try {
    await work();
  } catch (failure) {
    const input = fieldOf(form, failure);
    if (input) complain(input, wordsFor(failure));
    else say(root, wordsFor(failure), { bad: true });
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
    attempt(root, () => work(fieldsOf(form)), form);
  });
}

function fieldsOf(form) {
  const held = [...new FormData(form)].map(([name, value]) => [name, name === "password" ? value : value.trim()]);
  return Object.fromEntries(held.filter(([, value]) => value !== ""));
}
