/** The question: another device is active, shall it be logged out? */
import { fill, filled, part, text } from "./views.js";

const dialog = document.querySelector("#question");
part(dialog, "cancel").addEventListener("click", () => dialog.close("cancel"));
part(dialog, "continue").addEventListener("click", () => dialog.close("continue"));

/**
 * Ask, and tell whether the person consents. Where the server lets nobody switch, it only says so.
 * @param {{message: string, active: Record<string, any>[], takeover?: object}} document
 * @returns {Promise<boolean>}
 */
export function ask({ message, active, takeover }) {
  fill(dialog, { message: takeover ? message : text("cannot_switch") });
  part(dialog, "active").replaceChildren(
    ...active.map((device) => filled("active", { ...device, device_name: device.device_name ?? text("unknown_device") })),
  );
  part(dialog, "continue").hidden = !takeover;
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "continue"), { once: true });
  });
}
