/**
 * Views, texts and notices. The server wrote every text into the page in the person's language; this module only
 * chooses and fills, and never makes markup out of data.
 */
const main = document.querySelector("main");
const views = new Map([...main.querySelectorAll("[data-view]")].map((view) => [view.dataset.view, view]));
const texts = document.querySelector("#texts").content;
const language = document.documentElement.lang;
const locale = navigator.languages.find((own) => own.split("-")[0] === language) ?? language;
const moment = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });

/** Return a text of the page by its name. */
export const text = (name) => texts.querySelector(`[data-text="${name}"]`).textContent;

/** Return the part of an element that has this name. */
export const part = (root, name) => root.querySelector(`[data-part="${name}"]`);

/** Return a view by its name, whether it is shown or not. */
export const view = (name) => views.get(name);

/** Show one view alone; the others are taken out of the page, so that no name is there twice. */
export function show(name) {
  for (const other of views.values()) other.remove();
  const shown = view(name);
  shown.hidden = false;
  main.append(shown);
  shown.querySelector("h1").focus();
}

/** Write values into the fields of an element; times are written for people. */
export function fill(root, values) {
  for (const field of root.querySelectorAll("[data-field]")) {
    const value = values[field.dataset.field];
    if (value === undefined) continue;
    if (field instanceof HTMLTimeElement && value !== null) {
      field.dateTime = value;
      field.textContent = moment.format(new Date(value));
    } else {
      field.textContent = value ?? "–";
    }
  }
  return root;
}

/** Return a filled copy of a template. */
export const filled = (id, values) =>
  fill(document.querySelector(`#${id}`).content.firstElementChild.cloneNode(true), values);

/** Say something in a view; with `bad` it is a failure. Without words, say nothing any more. */
export function say(root, words, { bad = false } = {}) {
  const notice = part(root, "notice");
  notice.hidden = !words;
  notice.setAttribute("role", bad ? "alert" : "status");
  notice.classList.toggle("bad", bad);
  notice.classList.toggle("good", !bad);
  notice.textContent = words ?? "";
}

/** Run something for a person, once at a time; a failure is said in the view. */
export async function attempt(root, work) {
  if (root.getAttribute("aria-busy") === "true") return;
  root.setAttribute("aria-busy", "true");
  say(root, null);
  try {
    await work();
  } catch (failure) {
    say(root, failure.message, { bad: true });
  } finally {
    root.removeAttribute("aria-busy");
  }
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

for (const button of main.querySelectorAll("[data-go]")) {
  button.addEventListener("click", () => show(button.dataset.go));
}
