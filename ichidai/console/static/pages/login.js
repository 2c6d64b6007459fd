/** Log in, and be asked when another device is active. */
import { latest } from "../client/devices.js";
import { ichidai } from "../suite.js";
import { go, onEnter } from "../router.js";
import { Mistake, fill, onClick, onSubmit, part, say, text } from "../views.js";
import { loadInside } from "./inside.js";

export function mount(root) {
  const form = root.querySelector("form");
  ichidai.onTakeoverQuestion(async (question) => (await import("./question.js")).ask(question));
  ichidai.onDigits(async (waiting, signal) => (await import("./approval.js")).showDigits(waiting, signal));
  onEnter("login", () => {
    const { session } = ichidai;
    part(root, "already").hidden = !session;
    if (session) fill(part(root, "already"), session);
    if (ichidai.hasPasskeys()) import("./passkey-login.js").then(({ offer }) => offer(root));
  });
  onClick(root, "recover", async () => (await import("./recover.js")).askToRecover());
  if (part(root, "forgot")) onClick(root, "forgot", async () => (await import("./links.js")).askForLink());
  onSubmit(root, form, async ({ client_cert_fp, ...credentials }) => {
    const fingerprint = client_cert_fp && tidied(client_cert_fp);
    form.elements.password.value = "";
    if (await logIn(root, { ...credentials, fingerprint })) form.reset();
  });
}

/**
 * Log in from a view and go inside; say there what stands in the way. Tells whether it came about.
 * @param {HTMLElement} root
 * @param {{username: string, password: string, fingerprint?: string}} credentials
 */
export async function logIn(root, credentials) {
  if (!(await enter(root, credentials))) return false;
  go("/");
  return true;
}

/** Log in from a view, and stay there; otherwise as `logIn`. */
export async function enter(root, credentials) {
  const answer = await ichidai.logIn(credentials).catch(async (problem) => {
    if (problem.code === "account-closed") {
      const { askToReopen } = await import("./reopen.js");
      if (await askToReopen(credentials, problem.document)) return ichidai.logIn(credentials);
    }
    if (problem.code === "missing-fields" && !latest()) throw new Error(text("not_registered"));
    if (problem.code === "certificate-mismatch" && credentials.fingerprint) throw new Mistake(problem.message, "client_cert_fp");
    throw problem;
  });
  if (answer === null) {
    say(root, text("not_switched"));
    return false;
  }
  await loadInside();
  return true;
}

/** A fingerprint as people paste it, in the form the server takes: lower case, without colons and spaces. */
const tidied = (fingerprint) => fingerprint.replace(/[\s:]/g, "").toLowerCase();
