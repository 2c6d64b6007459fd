/** A second factor: whether it is on, and the dialogs that switch it on and off. */
import { ichidai } from "../suite.js";
import { attempt, dialog as dialogOf, fill, open, part, say, text, timeText } from "../views.js";
import { signed } from "./account.js";

const DIALOGS = "/console/factor.html";
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
  const response = await fetch(DIALOGS).catch(() => null);
  if (!response?.ok) throw new Error(text("unreachable"));
  const { body } = new DOMParser().parseFromString(await response.text(), "text/html");
  document.querySelector("#dialogs").content.append(...body.children);
}

function display(card, { active, since, recovery_codes_left: left }) {
  part(card, "on").hidden = active;
  part(card, "off").hidden = !active;
  part(card, "active").hidden = !active;
  part(card, "state").textContent = active ? text("factor_state", { time: timeText(since), left }) : text("factor_none");
}

/** Lead through password, app and recovery codes; tells whether it is on now. */
async function switchOn() {
  const dialog = dialogOf("factor_on");
  const stages = ["password", "app", "codes"];
  const turnTo = (stage) => stages.forEach((name) => (part(dialog, `at_${name}`).hidden = name !== stage));
  const [asking, confirming, keeping] = stages.map((name) => part(dialog, `at_${name}`));
  let begun = null;
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
    const { recovery_codes } = await told(ichidai.post("/registration/otp/confirm", body));
    begun = null;
    part(dialog, "codes").value = recovery_codes.join("\n");
    part(dialog, "copy").hidden = !navigator.clipboard;
    part(dialog, "copy").onclick = async () => {
      await navigator.clipboard.writeText(recovery_codes.join("\n"));
      say(dialog, text("copied"));
    };
    turnTo("codes");
    part(dialog, "codes").focus();
  });
  onSend(dialog, keeping, async () => dialog.close("on"));
  const closed = await open(dialog);
  const isOn = closed === "on" || part(dialog, "codes").value !== "";
  part(dialog, "qr").removeAttribute("src");
  part(dialog, "codes").value = "";
  fill(dialog, { secret: "" });
  return isOn;
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
    attempt(dialog, () => work(form.elements));
  };
}

/** Await a call, and tell in our own words what was typed wrong. */
async function told(call) {
  try {
    return await call;
  } catch (problem) {
    const words = { "bad-credentials": "wrong_password", "otp-invalid": "wrong_code" }[problem.code];
    throw words ? new Error(text(words)) : problem;
  }
}
