/** The code of a second factor, asked for wherever the password alone is not enough. */
import { complain, dialog as dialogOf, open, part, say, text } from "../views.js";

/**
 * Ask for a code; null when the person would rather not.
 * @param {{again: boolean}} asked `again`: the last one was refused
 * @returns {Promise<string | null>}
 */
export async function askForCode({ again }) {
  const dialog = dialogOf("code");
  const form = dialog.querySelector("form");
  form.reset();
  say(dialog, null);
  part(dialog, "cancel").onclick = () => dialog.close("");
  form.onsubmit = (event) => {
    event.preventDefault();
    dialog.close("given");
  };
  const closed = open(dialog);
  if (again) complain(form.elements.otp, text("wrong_code"));
  return (await closed) === "given" ? form.elements.otp.value.trim() : null;
}
