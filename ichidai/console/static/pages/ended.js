/** The session has ended: where, when and why, and the way back in. Nothing is tried again by itself. */
import { ichidai } from "../suite.js";
import { render, turnTo } from "../router.js";
import { fill, part, text } from "../views.js";
import { loadInside } from "./inside.js";
import { afterLogout } from "./shell.js";

const NOBODY_ELSE = ["expired"];

export function mount(root) {
  ichidai.onSessionBegun(() => loadInside().then(() => render()));
  ichidai.onSessionEnded((ending) => {
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close("");
    if (ending.reason === "logged-out") afterLogout();
    else display(root, ending);
  });
}

function display(root, { reason, detail, at, by_device }) {
  const title = text(NOBODY_ELSE.includes(reason) ? "ended" : "ended_elsewhere");
  root.dataset.title = title;
  fill(root, { title, detail: text(`why_${reason}`) ?? detail ?? text("why_ended"), by_device: by_device ?? null });
  fill(root, { at: at ?? new Date().toISOString() });
  part(root, "by").hidden = !by_device;
  part(root, "own").hidden = true;
  history.replaceState(null, "", location.pathname === "/login" ? "/login" : "/");
  turnTo("ended");
}
