/** Logging in by a passkey: by the button, or from the list that a browser shows in the field of the name. */
import { ichidai } from "../suite.js";
import { go } from "../router.js";
import { attempt, part, shown } from "../views.js";
import { loadInside } from "./inside.js";

const ANEW_MS = 4 * 60_000; // a challenge is good for five minutes
let offered = null;

/** Offer passkeys in the login's view while it is shown. */
export async function offer(root) {
  const button = part(root, "passkey");
  button.hidden = false;
  button.onclick = () => attempt(root, () => enter(root));
  if (!ichidai.session && (await PublicKeyCredential.isConditionalMediationAvailable?.())) offerInField(root);
}

/** Wait until the person takes a passkey from the list; the challenge is renewed meanwhile. */
async function offerInField(root) {
  offered?.abort();
  const waiting = (offered = new AbortController());
  const renewing = setTimeout(() => shown() === "login" && offered === waiting && offerInField(root), ANEW_MS);
  try {
    await enter(root, { mediation: "conditional", signal: waiting.signal });
  } catch (failure) {
    if (!isRefusal(failure)) attempt(root, () => Promise.reject(failure));
  } finally {
    clearTimeout(renewing);
  }
}

async function enter(root, options = {}) {
  if (!options.signal) offered?.abort(); // a browser asks for one passkey at a time
  try {
    const answer = await ichidai.logInByPasskey(options);
    if (answer === null) return;
    offered?.abort();
    root.querySelector("form").reset();
    await loadInside();
    go("/");
  } catch (failure) {
    if (options.signal || !isRefusal(failure)) throw failure;
  }
}

/** Say whether it is only that the person gave none, or that nobody waits any more. */
const isRefusal = ({ name }) => ["NotAllowedError", "AbortError"].includes(name);
