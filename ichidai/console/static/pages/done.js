/** A device has been registered: what it got, and on to the login. */
import { turnTo } from "../router.js";
import { attempt, fill, part, say, text, view } from "../views.js";
import { logIn } from "./login.js";
import { showPairing } from "./pairing.js";

/**
 * Show what a registration answered. The password is kept for the button "Log in" alone, and only while it is there.
 * @param {{username: string, password: string}} credentials
 * @param {Record<string, any>} answer
 */
export function showDone({ username, password }, answer) {
  const done = fill(view("done"), answer);
  say(done, null);
  part(done, "keys").hidden = !answer.private_keys;
  part(done, "save").onclick = () => {
    save(`ichidai-keys-${answer.device_id}.json`, keysOf(username, answer));
    say(done, text("keys_saved"));
  };
  const form = done.querySelector("form");
  if (form) {
    form.onsubmit = (event) => {
      event.preventDefault();
      attempt(done, () => logIn(done, { username, password }));
    };
  }
  turnTo("done");
  showPairing(done, answer);
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
