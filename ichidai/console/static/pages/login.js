/** Log in, and be asked when another device is active. */
import { latest } from "../client/devices.js";
import { ichidai } from "../suite.js";
import { go, onEnter, turnTo } from "../router.js";
import { fill, onSubmit, part, say, text, view } from "../views.js";
import { loadInside } from "./inside.js";
import { ask } from "./question.js";

export function mount(root) {
  const form = root.querySelector("form");
  ichidai.onTakeoverQuestion(ask);
  onEnter("login", () => {
    const { session } = ichidai;
    part(root, "already").hidden = !session;
    if (session) fill(part(root, "already"), session);
  });
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
  const answer = await ichidai.logIn(credentials).catch((problem) => {
    if (problem.code === "missing-fields" && !latest()) throw new Error(text("not_registered"));
    if (problem.code === "certificate-mismatch" && credentials.fingerprint) throw new Error(problem.message);
    throw problem;
  });
  if (answer === null) {
    say(root, text("not_switched"));
    return false;
  }
  if (view("home")) {
    await loadInside();
    go("/");
  } else {
    fill(view("inside"), ichidai.session);
    turnTo("inside");
  }
  return true;
}

/** A fingerprint as people paste it, in the form the server takes: lower case, without colons and spaces. */
const tidied = (fingerprint) => fingerprint.replace(/[\s:]/g, "").toLowerCase();
