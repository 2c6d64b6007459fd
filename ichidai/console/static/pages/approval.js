/** What the active device's user is asked about, a takeover or joining: the digits on one screen, and where they are typed. */
import { ichidai } from "../suite.js";
import { attempt, dialog as dialogOf, fill, open, part, say, text } from "../views.js";
import { fetched } from "./fetching.js";

const SECOND_MS = 1_000;
let turn = Promise.resolve(); // one dialog of these at a time

/**
 * Show what is to be typed on the active device. Resolves when the person would rather not wait, and when that is over.
 * @param {{digits: string, expires_in: number, approve_qr_png?: string}} waiting with a picture where a device joins
 * @param {AbortSignal} signal
 */
export async function showDigits({ digits, expires_in, approve_qr_png }, signal) {
  const dialog = await named("waiting");
  if (signal.aborted) return;
  fill(dialog, { digits });
  part(dialog, "joining").hidden = !approve_qr_png;
  if (approve_qr_png) part(dialog, "qr").src = approve_qr_png;
  part(dialog, "cancel").onclick = () => dialog.close("");
  const watch = counting(dialog, expires_in, () => {});
  signal.addEventListener("abort", () => dialog.close(""), { once: true });
  await open(dialog);
  clearInterval(watch);
}

/**
 * Ask whether another device may take this one's place, or join, until it is answered, here or in another tab, or too late.
 * @param {import("../ichidai.js").Asked} asked
 * @param {AbortSignal} signal
 */
export function askToApprove(asked, signal) {
  const since = Date.now();
  turn = turn.then(() => approving(asked, asked.expires_in - (Date.now() - since) / SECOND_MS, signal)).catch(() => {});
  return turn;
}

async function approving({ approval_id, device_name, joins }, seconds, signal) {
  const dialog = await named("approving");
  if (signal.aborted || seconds <= 0 || !ichidai.session) return;
  const form = dialog.querySelector("form");
  const { digits } = form.elements;
  form.reset();
  say(dialog, null);
  digits.inputMode = "numeric";
  fill(dialog, { device_name: device_name ?? text("new_device") });
  for (const each of dialog.querySelectorAll("[data-joins]")) each.hidden = (each.dataset.joins === "yes") !== Boolean(joins);
  const answer = (said) =>
    attempt(dialog, async () => {
      await ichidai.answerApproval(approval_id, said);
      dialog.close("");
    });
  part(dialog, "refuse").onclick = () => answer(undefined);
  form.onsubmit = (event) => {
    event.preventDefault();
    answer(digits.value.trim()).then(() => digits.select());
  };
  const watch = counting(dialog, seconds, () => dialog.close(""));
  signal.addEventListener("abort", () => dialog.close(""), { once: true });
  await open(dialog);
  clearInterval(watch);
}

/** Count the seconds down in a dialog; return the timer. */
function counting(dialog, seconds, done) {
  const until = Date.now() + seconds * SECOND_MS;
  const write = () => {
    const left = Math.max(0, Math.ceil((until - Date.now()) / SECOND_MS));
    part(dialog, "left").textContent = left;
    if (!left) done();
  };
  write();
  return setInterval(write, SECOND_MS);
}

async function named(name) {
  if (!dialogOf(name)) document.querySelector("#dialogs").content.append(...(await fetched("approval")));
  return dialogOf(name);
}
