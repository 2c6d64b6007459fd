/** What only a logged-in user needs is loaded after the login. */
import { ichidai } from "../suite.js";
import { view } from "../views.js";

const NAMES = ["home", "devices", "add", "history", "security"];
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
  await pages.at(-1).prepare();
  ichidai.onApprovalAsked(async (asked, signal) => (await import("./approval.js")).askToApprove(asked, signal));
  NAMES.forEach((name, index) => pages[index].mount(view(name)));
}
