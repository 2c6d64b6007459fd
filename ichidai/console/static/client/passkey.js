/** Passkeys (WebAuthn Level 3): asked for and made by the browser; what the suite sends and takes is its JSON. */
import { setLatest } from "./devices.js";

/**
 * Log in by a passkey: on the device that this browser is for its account, else as a new device of it.
 * @param {import("./wire.js").Wire} wire
 * @param {import("./devices.js").Devices} devices
 * @param {import("./endpoints.js").Endpoints} endpoints
 * @param {((question: object) => Promise<boolean>) | null} ask
 * @param {CredentialRequestOptions} options
 * @returns {Promise<{username: string, answer: object} | null>} null after a no to the question
 */
export async function enterByPasskey(wire, devices, endpoints, ask, options) {
  const asked = await wire.post("/login/passkey/begin");
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(asked.options);
  const credential = await navigator.credentials.get({ ...options, publicKey });
  const passkey = credential.toJSON();
  const device = await devices.ofUser(textIn(passkey.response.userHandle));
  const answer = device
    ? await endpoints.enter({ passkey, client_cert_fp: device.fingerprint }, device, ask, "/login/passkey/finish")
    : await endpoints.joinByPasskey(passkey, ask);
  if (answer === null) return null;
  const { username } = device ?? (await wire.get("/session/verify", answer.access_token));
  if (!device) await devices.remember(username, answer, answer.keys);
  setLatest(device?.fingerprint ?? answer.client_cert_fp);
  return { username, answer };
}

/** Let the browser make a passkey; return it as the suite takes it. @param {object} options of the suite's */
export async function createPasskey(options) {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  return (await navigator.credentials.create({ publicKey })).toJSON();
}

const textIn = (base64url) => atob(base64url.replaceAll("-", "+").replaceAll("_", "/"));
