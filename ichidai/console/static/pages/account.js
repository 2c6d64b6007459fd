/** What several views do with the account that is logged in. */
import { ichidai } from "../suite.js";
import { go } from "../router.js";
import { askToLogOutOthers } from "./dialogs.js";
import { attempt, onClick, part, say, text } from "../views.js";

/** Run something of the person who is logged in; that the session is over is told by the page for it, not here. */
export const signed = (root, work, form = null) => attempt(root, () => whileLoggedIn(work), form);

/** Do something, and bear that the session ends meanwhile. */
export async function whileLoggedIn(work) {
  try {
    await work();
  } catch (problem) {
    if (ichidai.session) throw problem;
  }
}

/** Let the buttons "Add a device" and "Log out other devices" of a view work. */
export function wireButtons(root, refresh) {
  part(root, "add").addEventListener("click", () => go("/#add"));
  onClick(root, "others", () =>
    whileLoggedIn(async () => {
      if (!(await askToLogOutOthers(logOutOthers))) return;
      await refresh();
      if (ichidai.session) say(root, text("others_out"));
      root.querySelector("h1").focus();
    }),
  );
}

/** Offer "Log out other devices" where one of these devices is another one that is logged in. */
export function offerOthers(root, devices) {
  part(root, "others").hidden = !devices.some((device) => device.is_active && !device.current);
}

/** End every session but this one. */
async function logOutOthers() {
  const { sessions } = await ichidai.get("/session/list");
  for (const { session_id, current } of sessions) if (!current) await endSession(session_id);
}

/** End another session of the account; that it is gone already is as good. */
export async function endSession(session_id) {
  try {
    await ichidai.post("/session/revoke", { session_id });
  } catch (problem) {
    if (problem.code !== "not-found") throw problem;
  }
}
