/** The dialogs about a device: another name for it, and its removal. */
import { ichidai } from "../suite.js";
import { attempt, dialog as dialogOf, fill, open, part, say, text } from "../views.js";

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
  return untilDone(dialog, async () => {
    try {
      await ichidai.post("/device/unbind", { device_id, ...(password.value && { password: password.value }) });
    } catch (problem) {
      if (problem.code === "reauthenticate" && again.hidden) {
        again.hidden = false;
        password.focus();
        return false;
      }
      throw problem.code === "reauthenticate" ? new Error(text("wrong_password")) : problem;
    }
    await ichidai.forgetDevice(fingerprint);
    if (current) await ichidai.leave("device-unbound");
    return true;
  });
}

/** Open a dialog and run `work` when its form is sent, until it succeeds; false when the person cancels. */
async function untilDone(dialog, work) {
  say(dialog, null);
  part(dialog, "cancel").onclick = () => dialog.close("");
  dialog.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    attempt(dialog, async () => {
      if ((await work()) !== false) dialog.close("done");
    });
  };
  return (await open(dialog)) === "done";
}
