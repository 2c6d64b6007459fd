/** Parts of the pages that are fetched only when they are needed. */
import { text } from "../views.js";

/** Return the elements of a part of the pages, in the language of the page. */
export async function fetched(name) {
  const response = await fetch(`/console/${name}.html`).catch(() => null);
  if (!response?.ok) throw new Error(text("unreachable"));
  const { body } = new DOMParser().parseFromString(await response.text(), "text/html");
  return [...body.children];
}
