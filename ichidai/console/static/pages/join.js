/** Join as a new device: by the camera, by a picture, or by the text of a code that a registered device shows. */
import { ichidai } from "../suite.js";
import { onCodeInAddress, onEnter } from "../router.js";
import { onSubmit, part, say, text } from "../views.js";

/** What reads codes is loaded when the user wants to scan one. */
const scanner = () => import("./scanner.js");

export function mount(root) {
  const form = root.querySelector("form");
  let scanning = null;
  let fromLink = null;

  const stop = () => {
    scanning?.abort();
    scanning = null;
    show(false);
  };
  const show = (on) => {
    part(root, "frame").hidden = !on;
    part(root, "scan").hidden = on;
    part(root, "stop").hidden = !on;
  };
  const take = (code) => {
    form.elements.qr_code.value = code;
    say(root, text("scanned"), { name: "scanned" });
    form.elements.username.focus();
  };
  const tell = (name) => say(root, text(name), { bad: true, name: "scanned" });

  part(root, "scan").addEventListener("click", async () => {
    stop();
    scanning = new AbortController();
    const { signal } = scanning;
    say(root, null, { name: "scanned" });
    show(true);
    const code = await scanner()
      .then(({ scan }) => scan(part(root, "video"), signal))
      .catch(() => tell("no_camera"));
    if (signal.aborted) return;
    stop();
    if (code) take(code);
  });
  part(root, "stop").addEventListener("click", stop);
  part(root, "picture").addEventListener("change", async ({ target }) => {
    const code = await scanner()
      .then(({ readPicture }) => readPicture(target.files[0]))
      .catch(() => null);
    target.value = "";
    if (code) take(code);
    else tell("no_code");
  });
  onSubmit(root, form, async (fields) => {
    const { showDone } = await import("./done.js"); // first: what is answered is shown only once
    const answer = await ichidai.pair(fields);
    stop();
    form.reset();
    showDone(fields, answer);
  });
  part(root, "approval")?.addEventListener("click", async () => (await import("./joining.js")).askToJoin(root, form));
  addEventListener("popstate", stop);
  onCodeInAddress((code) => (fromLink = code));
  onEnter("join", () => {
    say(root, null, { name: "scanned" });
    if (fromLink) take(fromLink);
    fromLink = null;
  });
}
