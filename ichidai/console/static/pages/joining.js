/** Joining without the password: the name alone is asked for, and the active devices' users type the digits. */
import { ichidai } from "../suite.js";
import { go } from "../router.js";
import { attempt, say, text } from "../views.js";
import { loadInside } from "./inside.js";

/** Ask to join by what the form of the view has. @param {HTMLElement} root @param {HTMLFormElement} form */
export function askToJoin(root, form) {
  if (!form.elements.username.reportValidity()) return null;
  return attempt(root, async () => {
    const username = form.elements.username.value.trim();
    const device_name = form.elements.device_name.value.trim() || undefined;
    const answer = await ichidai.joinByApproval({ username, device_name }).catch((problem) => {
      if (problem.code === "approval-refused") throw new Error(problem.message); // the suite says more of it
      throw problem;
    });
    if (answer === null) return say(root, text("not_switched"));
    form.reset();
    await loadInside();
    return go("/");
  }, form);
}
