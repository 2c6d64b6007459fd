/** What is there only for somebody who is logged in is loaded only then. */
import { view } from "../views.js";

const NAMES = ["home", "devices", "add", "sessions", "history"];
let loading = null;

/** Load the views of the account, once. */
export function loadInside() {
  loading ??= load().catch((failure) => {
    loading = null;
    throw failure;
  });
  return loading;
}

async function load() {
  const pages = await Promise.all(NAMES.map((name) => import(`./${name}.js`)));
  NAMES.forEach((name, index) => pages[index].mount(view(name)));
}
