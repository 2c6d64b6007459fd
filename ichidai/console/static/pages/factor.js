/** A second factor: whether it is on, and the dialogs that switch it on and off. */
import { ichidai } from "../suite.js";
import { Mistake, attempt, dialog as dialogOf, fill, open, part, say, text, timeText } from "../views.js";
import { signed } from "./account.js";
import { fetched } from "./fetching.js";

let loading = null;

/** Let a card work; returns what shows in it how things are. */
export function wireFactor(card, view) {
  const refresh = async () => display(card, await ichidai.get("/registration/otp"));
  const wire = (name, work) =>
    part(card, name).addEventListener("click", () =>
      signed(view, async () => {
        await loadDialogs();
        const done = await work();
        if (ichidai.session) await refresh();
        if (done) say(view, text(done));
      }),
    );
  wire("on", async () => (await switchOn()) && "factor_on");
  wire("renew", async () => (await renew()) && "factor_renewed");
  wire("off", async () => (await switchOff()) && "factor_off");
  return refresh;
}

/** Fetch the dialogs when they are first wanted: they are not among those that every page has. */
function loadDialogs() {
  loading ??= load().catch((failure) => {
    loading = null;
    throw failure;
  });
  return loading;
}

async function load() {
  document.querySelector("#dialogs").content.append(...(await fetched("factor")));
}

function display(card, { active, since, recovery_codes_left: left }) {
  part(card, "on").hidden = active;
  part(card, "renew").hidden = !active;
  part(card, "off").hidden = !active;
  part(card, "active").hidden = !active;
  part(card, "state").textContent = active ? text("factor_state", { time: timeText(since), left }) : text("factor_none");
}

/** Lead through password, app and recovery codes; tells whether it is on now. */
async function switchOn() {
  const dialog = dialogOf("factor_on");
  const stages = ["password", "app"];
  const turnTo = (stage) => stages.forEach((name) => (part(dialog, `at_${name}`).hidden = name !== stage));
  const [asking, confirming] = stages.map((name) => part(dialog, `at_${name}`));
  let begun = null;
  let codes = null;
  prepare(dialog, asking);
  confirming.reset();
  turnTo("password");
  onSend(dialog, asking, async ({ password }) => {
    begun = await told(ichidai.post("/registration/otp/begin", { password: password.value }));
    asking.reset();
    part(dialog, "qr").src = begun.qr_png;
    fill(dialog, { secret: begun.secret.match(/.{4}/g).join(" ") });
    turnTo("app");
    confirming.elements.otp.focus();
  });
  onSend(dialog, confirming, async ({ otp }) => {
    const body = { enrolment: begun.enrolment, otp: otp.value.trim() };
    codes = (await told(ichidai.post("/registration/otp/confirm", body))).recovery_codes;
    dialog.close("on");
  });
  await open(dialog);
  part(dialog, "qr").removeAttribute("src");
  fill(dialog, { secret: "" });
  if (codes) await showCodes(codes);
  return codes !== null;
}

/** Ask for the password, and then for a code; tells whether there are new recovery codes. */
async function renew() {
  const dialog = dialogOf("factor_renew");
  const form = dialog.querySelector("form");
  let codes = null;
  prepare(dialog, form);
  onSend(dialog, form, async ({ password }) => {
    const body = { password: password.value };
    codes = (await told(ichidai.post("/registration/otp/recovery_codes", body))).recovery_codes;
    dialog.close("renewed");
  });
  await open(dialog);
  if (codes) await showCodes(codes);
  return codes !== null;
}

/** Make new recovery codes by the password, and show them until they are kept. */
export async function makeCodes(password) {
  await loadDialogs();
  const { recovery_codes } = await told(ichidai.post("/registration/recovery-codes", { password }));
  await showCodes(recovery_codes);
}

/**
 * Show recovery codes until the person has kept them. They are shown this once, so nothing else closes them: Escape does
 * not, and where a browser insists, or the session ends meanwhile, they are opened again.
 */
async function showCodes(codes) {
  const dialog = dialogOf("factor_kept");
  const form = dialog.querySelector("form");
  const words = codes.join("\n");
  say(dialog, null);
  part(dialog, "codes").value = words;
  part(dialog, "copy").hidden = !navigator.clipboard;
  part(dialog, "copy").onclick = async () => {
    await navigator.clipboard.writeText(words);
    say(dialog, text("copied"));
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    dialog.close("kept");
  };
  dialog.oncancel = (event) => event.preventDefault();
  while ((await open(dialog)) !== "kept");
  part(dialog, "codes").value = "";
}

/** Ask for the password, and then for a code; tells whether it is off now. */
async function switchOff() {
  const dialog = dialogOf("factor_off");
  const form = dialog.querySelector("form");
  prepare(dialog, form);
  onSend(dialog, form, async ({ password }) => {
    await told(ichidai.post("/registration/otp/remove", { password: password.value }));
    dialog.close("off");
  });
  return (await open(dialog)) === "off";
}

function prepare(dialog, form) {
  say(dialog, null);
  form.reset();
  form.elements.username.value = ichidai.session.username;
  for (const cancel of dialog.querySelectorAll('[data-part="cancel"]')) cancel.onclick = () => dialog.close("");
}

function onSend(dialog, form, work) {
  form.onsubmit = (event) => {
    event.preventDefault();
    attempt(dialog, () => work(form.elements), form);
  };
}

/** Await a call, and tell in our own words what was typed wrong. */
export async function told(call) {
  try {
    return await call;
  } catch (problem) {
    if (problem.code === "bad-credentials") throw new Mistake(text("wrong_password"), "password");
    if (problem.code === "otp-invalid") throw new Mistake(text("wrong_code"), "otp");
    throw problem;
  }
}
