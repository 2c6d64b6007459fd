/** The login page: log in, be asked when another device is active, and what comes after. */
import { post } from "./api.js";
import { remember, remembered, tidied } from "./device.js";
import { enter } from "./inside.js";
import { ask } from "./question.js";
import { onSubmit, say, show, text, view } from "./views.js";

const login = view("login");
const form = login.querySelector("form");

onSubmit(login, form, async ({ username, password, client_cert_fp = "" }) => {
  const fingerprint = tidied(client_cert_fp) || undefined;
  const answer = await logIn({ username, password, client_cert_fp: fingerprint });
  form.elements.password.value = "";
  if (answer === null) {
    say(login, text("not_switched"));
    form.elements.password.focus();
    return;
  }
  if (fingerprint) remember(fingerprint);
  await enter(username, answer);
});

/** Log in; null when the person was asked and would rather not. */
async function logIn(body) {
  try {
    return await post("/login", body);
  } catch (problem) {
    return consent(problem, body.client_cert_fp);
  }
}

/** Ask as long as somebody is in the way who was not shown yet. The consent ends exactly the sessions that were shown. */
async function consent(problem, fingerprint) {
  if (problem.code !== "device-active") throw problem;
  if (!(await ask(problem.document))) return null;
  const body = { takeover_token: problem.document.takeover.token, client_cert_fp: fingerprint };
  try {
    return await post("/login/takeover", body);
  } catch (next) {
    return consent(next, fingerprint);
  }
}

form.elements.client_cert_fp.value = remembered();
show("login");
