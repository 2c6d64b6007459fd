/** Links of mails: asking for one, and what they lead to. What a link holds is sent after a click, never before. */
import { ichidai } from "../suite.js";
import { go } from "../router.js";
import { attempt, dialog as dialogOf, open, part, say, shown } from "../views.js";
import { showDone } from "./done.js";
import { fetched } from "./fetching.js";

const CODE_WANTED = ["otp-required", "otp-invalid"];

/** Open what a link leads to; its token leaves the address at once. Then on to the account, or to the login. */
export async function follow() {
  const [, kind, token] = location.hash.match(/^#(reset|confirm|object)=(.+)$/);
  history.replaceState(null, "", location.pathname);
  await load();
  if (kind === "confirm") await ask("confirm", () => ichidai.send("/registration/email/confirm", { token }));
  else if (kind === "object") await object(token);
  else await reset(token);
  if (shown() !== "done") go(ichidai.session ? "/" : "/login");
}

/** Take back what the link of a notice tells of; then a new password is chosen at once. */
async function object(token) {
  const { dialog, form } = prepared("object");
  let answer = null;
  form.onsubmit = (event) => {
    event.preventDefault();
    attempt(dialog, async () => {
      answer = await ichidai.send("/registration/objection", { token });
      if (answer.reset_token) dialog.close("done");
      else finish(dialog);
    });
  };
  await open(dialog);
  if (answer?.reset_token) await reset(answer.reset_token);
}

/** Ask for the mail address, and let a link be sent there. */
export async function askForLink() {
  await load();
  await ask("forgot", ({ email }) => ichidai.send("/registration/password/forgot", { email: email.value.trim() }));
}

async function load() {
  if (!dialogOf("forgot")) document.querySelector("#dialogs").content.append(...(await fetched("links")));
}

/** Run something by a dialog, and say in it what was done. */
async function ask(name, work) {
  const { dialog, form } = prepared(name);
  form.onsubmit = (event) => {
    event.preventDefault();
    attempt(dialog, async () => {
      await work(form.elements);
      finish(dialog);
    }, form);
  };
  await open(dialog);
}

async function reset(token) {
  const { dialog, form } = prepared("reset");
  const { username, new_password, otp, keep_devices } = form.elements;
  let done = null;
  part(dialog, "code").hidden = true;
  form.onsubmit = (event) => {
    event.preventDefault();
    attempt(dialog, async () => {
      const fields = { username: username.value.trim(), new_password: new_password.value, otp: otp.value.trim() };
      try {
        done = await ichidai.recover({ ...fields, token, keep_devices: keep_devices.checked });
      } catch (problem) {
        if (CODE_WANTED.includes(problem.code)) part(dialog, "code").hidden = false;
        throw problem;
      }
      dialog.close("done");
    }, form);
  };
  await open(dialog);
  if (done) showDone({ username: username.value.trim(), password: new_password.value }, done);
  form.reset();
}

/** Say in a dialog what was done; then it can only be closed. */
function finish(dialog) {
  say(dialog, part(dialog, "sent").content.textContent);
  mark(dialog, { isDone: true });
  part(dialog, "close").focus();
}

function mark(dialog, { isDone }) {
  const close = part(dialog, "close");
  if (!close) return;
  for (const element of dialog.querySelectorAll('form > p:not([data-part]), .field, [data-part="cancel"], [type="submit"]')) {
    element.hidden = isDone;
  }
  close.hidden = !isDone;
}

function prepared(name) {
  const dialog = dialogOf(name);
  const form = dialog.querySelector("form");
  form.reset();
  say(dialog, null);
  mark(dialog, { isDone: false });
  for (const button of dialog.querySelectorAll('[data-part="cancel"], [data-part="close"]')) button.onclick = () => dialog.close("");
  return { dialog, form };
}
