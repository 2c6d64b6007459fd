/** Add a device: show a code, and tell when it was redeemed and by which device. */
import { latest } from "../client/devices.js";
import { ichidai } from "../suite.js";
import { onEnter } from "../router.js";
import { nameOf, onSubmit, part, say, shown, text, timeText } from "../views.js";
import { whileLoggedIn } from "./account.js";
import { told } from "./factor.js";
import { hidePairing, showPairing } from "./pairing.js";

const LOOK_MS = 2_000;
let looking;

export function mount(root) {
  const form = part(root, "asking");
  onEnter("add", () => reset(root, form));
  onSubmit(root, form, ({ password }) =>
    whileLoggedIn(async () => {
      if (!latest()) throw new Error(text("no_fingerprint"));
      const known = await deviceIds();
      const code = await told(ichidai.pairingCode({ password }));
      form.reset();
      form.hidden = true;
      part(root, "waiting").hidden = false;
      showPairing(root, code, () => stop(root, form));
      looking = setInterval(() => look(root, form, known), LOOK_MS);
    }),
  );
}

function reset(root, form) {
  form.reset();
  form.elements.username.value = ichidai.session?.username ?? "";
  hidePairing(root);
  say(root, null);
  stop(root, form);
}

function stop(root, form) {
  clearInterval(looking);
  part(root, "waiting").hidden = true;
  form.hidden = false;
}

/** Look whether a device has joined that was not there before. */
async function look(root, form, known) {
  if (shown() !== "add") {
    reset(root, form);
    return;
  }
  const { devices } = await ichidai.get("/device/list").catch(() => ({ devices: [] }));
  const joined = devices.find((device) => !known.has(device.device_id));
  if (!joined) return;
  hidePairing(root);
  stop(root, form);
  say(root, text("redeemed", { device: nameOf(joined), time: timeText(joined.registered_at) }));
}

async function deviceIds() {
  const { devices } = await ichidai.get("/device/list");
  return new Set(devices.map((device) => device.device_id));
}
