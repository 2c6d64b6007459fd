/** The question: another device is active, shall it be logged out? */
import { dialog as dialogOf, fill, fillList, nameOf, open, part, text } from "../views.js";

/**
 * Ask, and tell whether the person consents. Where the server lets nobody switch, it only says so.
 * @param {import("../ichidai.js").Question} question
 * @returns {Promise<boolean>}
 */
export async function ask({ message, active, takeover, approval }) {
  const dialog = dialogOf("question");
  fill(dialog, { message: approval ? text("asks_active") : takeover ? message : text("cannot_switch") });
  fillList(dialog, "list", active.map((device) => ({ ...device, device_name: nameOf(device) })));
  part(dialog, "continue").hidden = !takeover && !approval;
  part(dialog, "cancel").onclick = () => dialog.close("cancel");
  part(dialog, "continue").onclick = () => dialog.close("continue");
  return (await open(dialog)) === "continue";
}
