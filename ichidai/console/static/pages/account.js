/** What several views do with the account that is logged in. */
import { ichidai } from "../suite.js";
import { go } from "../router.js";
import { attempt, onClick, part, say, text } from "../views.js";

/** Run something of the person who is logged in; that the session is over is told by the page for it, not here. */
export const signed = (root, work) => attempt(root, () => whileLoggedIn(work));

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
      const ended = await logOutOthers();
      await refresh();
      say(root, text(ended ? "others_out" : "no_others"));
    }),
  );
}

/** End every session but this one; return how many there were. */
async function logOutOthers() {
  const { sessions } = await ichidai.get("/session/list");
  const others = sessions.filter((session) => !session.current);
  for (const { session_id } of others) await endSession(session_id);
  return others.length;
}

/** End another session of the account; that it is gone already is as good. */
export async function endSession(session_id) {
  try {
    await ichidai.post("/session/revoke", { session_id });
  } catch (problem) {
    if (problem.code !== "not-found") throw problem;
  }
}
