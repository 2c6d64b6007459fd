/** The registration page: a person registers with a first device, or joins with another one by a QR code's text. */
import { post } from "./api.js";
import { remember } from "./device.js";
import { showPairing } from "./pairing.js";
import { fill, onSubmit, part, say, show, text, view } from "./views.js";

const PATH = "/registration/";

for (const name of ["register", "join"]) {
  const form = view(name).querySelector("form");
  onSubmit(view(name), form, async (fields) => {
    const answer = await post(PATH, bodyOf(fields));
    form.reset();
    finish(fields.username, answer);
  });
}
show(location.hash === "#join" ? "join" : "register");
addEventListener("hashchange", () => show(location.hash === "#join" ? "join" : "register"));

/** A scanner may give the code alone, or an address that ends with it. */
function bodyOf({ qr_code: code, ...fields }) {
  return code === undefined ? fields : { ...fields, qr_code: code.split("#").pop() };
}

function finish(username, answer) {
  remember(answer.client_cert_fp);
  const done = fill(view("done"), answer);
  part(done, "save").onclick = () => {
    save(`ichidai-keys-${answer.device_id}.json`, keysOf(username, answer));
    say(done, text("keys_saved"));
  };
  show("done");
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
