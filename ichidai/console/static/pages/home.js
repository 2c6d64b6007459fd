/** Home: who and which device I am, and my devices at a glance. */
import { ichidai } from "../suite.js";
import { onEnter } from "../router.js";
import { fill, fillList, nameOf, part, say } from "../views.js";
import { offerOthers, signed, wireButtons } from "./account.js";
import { wireFactor } from "./factor.js";

export function mount(root) {
  const refresh = async () => display(root, (await ichidai.get("/device/list")).devices);
  wireButtons(root, refresh);
  const refreshFactor = wireFactor(part(root, "factor"), root);
  onEnter("home", () => {
    say(root, null);
    fill(root, ichidai.session);
    signed(root, () => Promise.all([refresh(), refreshFactor(), insistOnCodes(part(root, "no_codes"))]));
  });
}

/** Remind a user who has no recovery codes, where no mail lets one back in. */
async function insistOnCodes(reminder) {
  if (!reminder) return;
  const { recovery_codes_left } = await ichidai.get("/registration/account");
  reminder.hidden = recovery_codes_left > 0;
}

function display(root, devices) {
  const current = devices.find((device) => device.current);
  if (current) fill(root, { ...current, login_at: ichidai.session?.login_at, device_name: nameOf(current) });
  offerOthers(root, devices);
  const named = devices.map((device) => ({ ...device, device_name: nameOf(device) }));
  fillList(root, "devices", named, (row, device) => {
    part(row, "is_active").classList.toggle("on", device.is_active);
    part(row, "current").hidden = !device.current;
    part(row, "active").hidden = !device.is_active || device.current;
  });
}
