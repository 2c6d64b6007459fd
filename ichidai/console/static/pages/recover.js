/** Recovers an account whose devices are all lost: a recovery code and a password. */
import { ichidai } from "../suite.js";
import { attempt, dialog as dialogOf, open, part, say } from "../views.js";
import { showDone } from "./done.js";
import { fetched } from "./fetching.js";

/** Ask for name, password, code and a new password; this browser is a device of the account then. */
export async function askToRecover() {
  if (!dialogOf("recover")) document.querySelector("#dialogs").content.append(...(await fetched("recover")));
  const dialog = dialogOf("recover");
  const form = dialog.querySelector("form");
  let done = null;
  form.reset();
  say(dialog, null);
  part(dialog, "cancel").onclick = () => dialog.close("");
  form.onsubmit = (event) => {
    event.preventDefault();
    attempt(dialog, async () => {
      const { password, new_password, username, recovery_code } = form.elements;
      const names = { username: username.value.trim(), recovery_code: recovery_code.value.trim() };
      done = await ichidai.recover({ ...names, password: password.value, new_password: new_password.value });
      dialog.close("done");
    }, form);
  };
  await open(dialog);
  const { username, new_password } = form.elements;
  if (done) showDone({ username: username.value.trim(), password: new_password.value }, done);
  form.reset();
}
