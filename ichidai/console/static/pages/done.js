/** A device has been registered: what it got, and on to the account. */
import { ichidai } from "../suite.js";
import { markInside, turnTo } from "../router.js";
import { attempt, fill, part, say, text, view } from "../views.js";
import { enter, logIn } from "./login.js";
import { showPairing } from "./pairing.js";

/**
 * Show what a registration answered. The first device of an account is logged in: nobody else can be active. The
 * password is kept for the buttons of this view alone, and only while it is there.
 * @param {{username: string, password: string}} credentials
 * @param {Record<string, any>} answer
 */
export async function showDone({ username, password }, answer, { isFirst = false } = {}) {
  const done = fill(view("done"), answer);
  const form = done.querySelector("form");
  form.hidden = isFirst;
  part(done, "inside").hidden = true;
  part(done, "codes").onclick = () => attempt(done, async () => (await import("./factor.js")).makeCodes(password));
  say(done, null);
  part(done, "keys").hidden = !answer.private_keys;
  part(done, "save").onclick = () => {
    save(`ichidai-keys-${answer.device_id}.json`, keysOf(username, answer));
    say(done, text("keys_saved"));
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    attempt(done, () => logIn(done, { username, password }));
  };
  turnTo("done");
  showPairing(done, answer);
  if (!isFirst) return;
  await attempt(done, () => enter(done, { username, password }));
  form.hidden = ichidai.session !== null;
  part(done, "inside").hidden = ichidai.session === null;
  markInside();
}

function keysOf(username, answer) {
  const { device_id, client_cert_fp, certificate, private_keys } = answer;
  return { username, user_uuid: answer.uuid, device_id, client_cert_fp, certificate, private_keys };
}

/** Hand a file to the browser, which asks where to save it or puts it among the downloads. */
function save(name, content) {
  const file = new Blob([JSON.stringify(content, null, 2), "\n"], { type: "application/json" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
