/** The dialogs about a device: another name for it, and its removal. */
import { ichidai } from "../suite.js";
import { Mistake, attempt, dialog as dialogOf, fill, open, part, say, text } from "../views.js";
import { told } from "./factor.js";

/** Ask for another name; say whether the device has it now. */
export function askToRename({ device_id, device_name }) {
  const dialog = dialogOf("renaming");
  const form = dialog.querySelector("form");
  form.reset();
  form.elements.device_name.value = device_name;
  return untilDone(dialog, () =>
    ichidai.post("/device/rename", { device_id, device_name: form.elements.device_name.value.trim() }),
  );
}

/** Ask whether a device shall go; say whether it is gone. The password is asked for where its last check is long ago. */
export function askToRemove({ device_id, device_name, fingerprint, current }) {
  const dialog = dialogOf("removing");
  const { password, username } = dialog.querySelector("form").elements;
  const again = part(dialog, "again");
  fill(dialog, { device_name });
  password.value = "";
  username.value = ichidai.session.username;
  again.hidden = true;
  part(dialog, "own").hidden = !current;
  const remove = async () => {
    try {
      await ichidai.post("/device/unbind", { device_id, ...(password.value && { password: password.value }) });
    } catch (problem) {
      if (problem.code === "reauthenticate" && again.hidden) {
        again.hidden = false;
        password.focus();
        return false;
      }
      throw problem.code === "reauthenticate" ? new Mistake(text("wrong_password"), "password") : problem;
    }
    await ichidai.forgetDevice(fingerprint);
    return true;
  };
  return untilDone(dialog, () => (current ? ichidai.leave("device-unbound", remove) : remove()));
}

/** Ask whether the other devices shall be logged out; say whether `logOutOthers` did it. */
export const askToLogOutOthers = (logOutOthers) => untilDone(dialogOf("others"), logOutOthers);

/** Ask whether a change shall be taken back, and for the password; say whether it was. */
export function askToObject({ change_no }) {
  const dialog = dialogOf("objecting");
  const { password, username } = dialog.querySelector("form").elements;
  password.value = "";
  username.value = ichidai.session.username;
  return untilDone(dialog, () => told(ichidai.post("/registration/objection", { change_no, password: password.value })));
}

/** Ask whether the account shall be closed, and for the password; then nobody is logged in any more. */
export async function askToClose() {
  const dialog = dialogOf("closing");
  const { password, username } = dialog.querySelector("form").elements;
  password.value = "";
  username.value = ichidai.session.username;
  const close = () => told(ichidai.post("/registration/close", { password: password.value }));
  await untilDone(dialog, () => ichidai.leave("account-closed", close));
}

/** Open a dialog and run `work` when its form is sent, until it succeeds; false when the person cancels. */
async function untilDone(dialog, work) {
  say(dialog, null);
  part(dialog, "cancel").onclick = () => dialog.close("");
  const form = dialog.querySelector("form");
  form.onsubmit = (event) => {
    event.preventDefault();
    attempt(dialog, async () => (await work()) !== false && dialog.close("done"), form);
  };
  return (await open(dialog)) === "done";
}
