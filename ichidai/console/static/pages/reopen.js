/** Reopens a closed account, for a user who logs in to it. */
import { ichidai } from "../suite.js";
import { attempt, dialog as dialogOf, fill, open, part, say } from "../views.js";
import { fetched } from "./fetching.js";

/**
 * Ask whether the account shall be open again; tell whether it is.
 * @param {{username: string, password: string}} credentials
 * @param {{reopen_until: string}} closed until when that can be done
 */
export async function askToReopen({ username, password }, { reopen_until }) {
  if (!dialogOf("reopening")) document.querySelector("#dialogs").content.append(...(await fetched("recover")));
  const dialog = fill(dialogOf("reopening"), { reopen_until });
  say(dialog, null);
  part(dialog, "cancel").onclick = () => dialog.close("");
  dialog.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    attempt(dialog, async () => {
      await ichidai.send("/registration/reopen", { username, password });
      dialog.close("done");
    });
  };
  return (await open(dialog)) === "done";
}
