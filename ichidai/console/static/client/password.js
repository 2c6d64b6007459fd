/** Changing the password or the name: the session is given new tokens, and its older ones are void at once. */
import { answerOf, posting } from "./wire.js";

/**
 * Send a change and keep what is answered; no other tab renews meanwhile. Throws Problem.
 * @param {import("./session.js").Session} session
 * @param {import("./wire.js").Wire} wire
 * @param {{password: string, new_password: string}} fields
 */
export async function changePassword(session, wire, fields) {
  await exchanged(session, wire, "/registration/password", fields);
}

/**
 * Give the account another name; this browser's devices and session have it then. Throws Problem.
 * @param {import("./session.js").Session} session
 * @param {import("./wire.js").Wire} wire
 * @param {import("./devices.js").Devices} devices
 * @param {{username: string, password: string}} fields
 */
export async function rename(session, wire, devices, fields) {
  const before = session.facts.username;
  await exchanged(session, wire, "/registration/username", fields, { username: fields.username });
  await devices.rename(before, fields.username);
}

function exchanged(session, wire, path, fields, changed = {}) {
  return wire.withCode(fields, async (body) => {
    const access = await session.access();
    return session.exchange(() => wire.send(path, posting(body), access).then(answerOf), changed);
  });
}
