/** The session has ended: where, when and why, and the way back in. Nothing is tried again by itself. */
import { ichidai } from "../suite.js";
import { render, turnTo } from "../router.js";
import { fill, part, text } from "../views.js";
import { loadInside } from "./inside.js";
import { afterLogout } from "./shell.js";

const NOBODY_ELSE = ["expired", "over-limit"];

export function mount(root) {
  ichidai.onSessionBegun(() => loadInside().then(() => render()));
  ichidai.onSessionEnded((ending) => {
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close("");
    if (ending.reason === "logged-out") afterLogout();
    else display(root, ending);
  });
}

function display(root, { reason, detail, at, by_device, here = false }) {
  const elsewhere = !here && !NOBODY_ELSE.includes(reason);
  const title = text(elsewhere ? "ended_elsewhere" : "ended");
  const why = here ? text("removed_here") : (text(`why_${reason}`) ?? detail ?? text("why_ended"));
  root.dataset.title = title;
  fill(root, { title, detail: why, by_device: by_device ?? null, at: at ?? new Date().toISOString() });
  part(root, "by").hidden = !by_device;
  part(root, "not_you").hidden = !elsewhere;
  const join = reason === "device-unbound" ? part(root, "join") : null;
  part(root, "login").hidden = Boolean(join);
  if (part(root, "join")) part(root, "join").hidden = !join;
  history.replaceState(null, "", location.pathname === "/login" ? "/login" : "/");
  turnTo("ended");
}
