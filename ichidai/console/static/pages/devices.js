/** Devices: what each is, its name, and the way out for it. */
import { ichidai } from "../suite.js";
import { onEnter } from "../router.js";
import { fillList, nameOf, part, say, text } from "../views.js";
import { signed, whileLoggedIn, wireButtons } from "./account.js";
import { askToRemove, askToRename } from "./dialogs.js";

export function mount(root) {
  const refresh = async () => display(root, (await ichidai.get("/device/list")).devices, refresh);
  wireButtons(root, refresh);
  onEnter("devices", () => {
    say(root, null);
    signed(root, refresh);
  });
}

function display(root, devices, refresh) {
  const named = devices.map((device) => ({ ...device, device_name: nameOf(device) }));
  fillList(root, "list", named, (row, device) => {
    part(row, "current").hidden = !device.current;
    part(row, "is_active").hidden = !device.is_active;
    part(row, "primary").hidden = device.role !== "primary";
    part(row, "logged_in").hidden = device.login_at === null;
    part(row, "seen").hidden = device.last_seen_at === null;
    wire(root, row, "rename", device, async () => (await askToRename(device)) && "renamed", refresh);
    wire(root, row, "remove", device, async () => (await askToRemove(device)) && "removed", refresh);
  });
}

function wire(root, row, name, device, work, refresh) {
  const button = part(row, name);
  button.setAttribute("aria-label", `${button.textContent}: ${device.device_name}`);
  button.addEventListener("click", () =>
    signed(root, async () => {
      const done = await work();
      if (!done) return;
      await whileLoggedIn(refresh);
      if (ichidai.session) say(root, text(done));
      root.querySelector("h1").focus();
    }),
  );
}
