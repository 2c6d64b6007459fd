/** The session has ended: where, when and why, and the way back in. Nothing is tried again by itself. */
import { ichidai } from "../suite.js";
import { render, turnTo } from "../router.js";
import { fill, part, text } from "../views.js";
import { loadInside } from "./inside.js";
import { afterLogout } from "./shell.js";

const NOBODY_ELSE = ["expired", "over-limit"];
const LEFT = "account-closed";

export function mount(root) {
  ichidai.onSessionBegun(() => loadInside().then(() => render()));
  ichidai.onSessionEnded((ending) => {
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close("");
    if (ending.reason === "logged-out") afterLogout();
    else display(root, { ...ending, at: ending.at ?? new Date().toISOString() });
  });
}

/** Show the end again after a reload: the history's entry has kept it. */
export function showAgain(root) {
  if (!ichidai.session && history.state?.ended) display(root, history.state.ended);
}

function display(root, ending) {
  const { reason, detail, at, by_device, here = false } = ending;
  const elsewhere = !here && !NOBODY_ELSE.includes(reason);
  const title = text(elsewhere ? "ended_elsewhere" : "ended");
  const did = reason === LEFT ? "closed_here" : "removed_here";
  const why = here ? text(did) : (text(`why_${reason}`) ?? detail ?? text("why_ended"));
  root.dataset.title = title;
  fill(root, { title, detail: why, by_device: by_device ?? null, at });
  part(root, "by").hidden = !by_device;
  part(root, "not_you").hidden = !elsewhere;
  const join = reason === "device-unbound";
  part(root, "login").hidden = join;
  part(root, "join").hidden = !join;
  history.replaceState({ ended: ending }, "", location.pathname === "/login" ? "/login" : "/");
  turnTo("ended");
}
