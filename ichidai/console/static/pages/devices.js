/** Devices and where they are logged in: what each is, its name, and the way out for it or for its session. */
import { ichidai } from "../suite.js";
import { onEnter } from "../router.js";
import { fillList, nameOf, part, say, text } from "../views.js";
import { endSession, offerOthers, signed, whileLoggedIn, wireButtons } from "./account.js";
import { askToRemove, askToRename } from "./dialogs.js";
import { joined } from "./origins.js";

const CHANGES = 100; // of the history, in which the latest login of each device is looked for

export function mount(root) {
  const refresh = async () => display(root, await read(), refresh);
  wireButtons(root, refresh);
  onEnter("devices", () => {
    say(root, null);
    signed(root, refresh);
  });
}

async function read() {
  const paths = ["/device/list", "/session/list", `/session/history?limit=${CHANGES}`];
  const [{ devices }, { sessions }, { events }] = await Promise.all(paths.map((path) => ichidai.get(path)));
  return joined(devices, sessions, events);
}

function display(root, devices, refresh) {
  offerOthers(root, devices);
  const named = devices.map((device) => ({ ...device, device_name: nameOf(device) }));
  fillList(root, "list", named, (row, device) => {
    for (const each of row.querySelectorAll("[data-kind]")) each.hidden = each.dataset.kind !== device.kind;
    part(row, "current").hidden = !device.current;
    part(row, "is_active").hidden = !device.is_active;
    part(row, "primary").hidden = device.role !== "primary";
    part(row, "from").hidden = !device.origin;
    part(row, "registered").hidden = device.registered_at === null;
    part(row, "logged_in").hidden = device.login_at === null;
    part(row, "seen").hidden = device.last_seen_at === null;
    part(row, "rename").hidden = part(row, "remove").hidden = device.registered_at === null;
    part(row, "end").hidden = device.current || !device.session_id;
    wire(root, row, "rename", device, async () => (await askToRename(device)) && "renamed", refresh);
    wire(root, row, "end", device, () => logOut(device), refresh);
    wire(root, row, "remove", device, async () => (await askToRemove(device)) && "removed", refresh);
  });
}

async function logOut({ session_id }) {
  await endSession(session_id);
  return "session_over";
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
