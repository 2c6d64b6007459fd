/** What the admin page is made of: texts, calls, forms that may be refused, tables that grow. Nothing makes markup out of data. */
const language = document.documentElement.lang;
const moment = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });

/** How many pages are asked for at once while nothing is on them: a page may be empty though others follow. */
const MOST_EMPTY = 40;

let key = null;

export const part = (name, root = document) => root.querySelector(`[data-part="${name}"]`);
export const time = (value) => moment.format(new Date(value));

/** Use this key from now on; it is in this module's memory alone. */
export function useKey(shown) {
  key = shown;
}

/** Return a text of the page with what is in braces filled in. */
export function text(name, facts = {}) {
  const words = document.querySelector("#texts").content.querySelector(`[data-text="${CSS.escape(name)}"]`);
  return words.textContent.replace(/\{(\w+)\}/g, (_, fact) => facts[fact]);
}

/** Call the app; throws an Error with the server's own sentence. */
export async function call(path, body) {
  const headers = { Authorization: `Bearer ${key}`, "Accept-Language": language };
  if (body) headers["Content-Type"] = "application/json";
  const sent = { method: body ? "POST" : "GET", headers, credentials: "omit", cache: "no-store", redirect: "error" };
  let answer;
  try {
    answer = await fetch(path, { ...sent, body: body && JSON.stringify(body) });
  } catch {
    throw new Error(text("unreachable"));
  }
  const document = await answer.json();
  if (!answer.ok) throw new Error(document.detail);
  return document;
}

/** Ask for something; what is empty or null is left out of the question. */
export function ask(path, facts = {}) {
  const given = Object.entries(facts).filter(([, value]) => value !== null && value !== "");
  return call(given.length ? `${path}?${new URLSearchParams(given)}` : path);
}

/** Do something with a form's or section's buttons held down meanwhile, and a refusal shown in it. */
export async function attempt(root, act) {
  const notice = part("notice", root);
  const buttons = [...root.querySelectorAll("button")];
  const focused = buttons.find((button) => button === document.activeElement);
  for (const button of buttons) button.disabled = true;
  notice.hidden = true;
  try {
    await act();
    return true;
  } catch (failure) {
    notice.textContent = failure.message;
    notice.hidden = false;
    return false;
  } finally {
    for (const button of buttons) button.disabled = false;
    if (document.activeElement === document.body) focused?.focus();
  }
}

/** Make a small button. */
export function smallButton(words, act, label = words) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet small";
  button.textContent = words;
  button.setAttribute("aria-label", label);
  button.addEventListener("click", act);
  return button;
}

/** Fill a table with rows of cells, texts or elements; or let them follow those that are there. */
export function fill(root, name, rows, follow = false) {
  const [table, none] = [part(name, root), part(`no_${name}`, root)];
  const body = table.tBodies[0];
  const made = rows.map((cells) => {
    const row = document.createElement("tr");
    row.append(
      ...cells.map((cell) => {
        const made = document.createElement("td");
        made.append(cell);
        return made;
      }),
    );
    return row;
  });
  body.replaceChildren(...(follow ? body.rows : []), ...made);
  table.parentElement.hidden = body.rows.length === 0;
  none.hidden = body.rows.length > 0;
}

/**
 * Let a table of `root` grow page by page. `load` gives the rows of a page and its next place, from a place (null: the
 * first). Returns `begin`, which shows the first page, and `show`, for a page that is there already.
 */
export function paged(root, name, load) {
  const more = part(`more_${name}`, root);
  let next = null;
  let turn = 0;
  const display = (page, follow) => {
    turn += 1;
    next = page.next ?? null;
    fill(root, name, page.rows, follow);
    more.hidden = next === null;
  };
  const go = async (place, follow) => {
    const asked = turn;
    let page = await load(place);
    for (let empty = 1; page.rows.length === 0 && page.next && empty < MOST_EMPTY; empty += 1) page = await load(page.next);
    if (asked === turn) display(page, follow);
  };
  more.addEventListener("click", async () => {
    await attempt(root, () => go(next, true));
    if (more.hidden) part(name, root).parentElement.focus();
  });
  return { begin: () => go(null, false), show: (page) => display(page, false) };
}
