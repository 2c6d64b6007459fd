/** Where a device or a session is used from: what a browser says of itself, and its address. */

const BROWSERS = [["Edg", "Edge"], ["OPR/", "Opera"], ["Firefox", "Firefox"], ["Chrome", "Chrome"], ["Safari", "Safari"]];
const SYSTEMS = [
  ...[["iPhone", "iPhone"], ["iPad", "iPad"], ["Android", "Android"], ["Windows", "Windows"], ["Mac OS", "macOS"]],
  ...[["CrOS", "ChromeOS"], ["Linux", "Linux"]],
];
const BEGINNINGS = ["login", "device-added"];

/** Return the short name of a browser and its system, or what the client says of itself. @param {string} agent */
export function browserOf(agent) {
  const named = [BROWSERS, SYSTEMS].map((list) => list.find(([sign]) => agent.includes(sign))?.[1]).filter(Boolean);
  return named.length === 2 ? named.join(", ") : agent;
}

/** Return what kind of device a client says that it is: "phone", "tablet", "computer", or "device". */
export function kindOf(agent) {
  if (/iPad|Android(?!.*Mobile)/.test(agent)) return "tablet";
  if (/iPhone|Android|Mobile/.test(agent)) return "phone";
  return /Windows|Mac OS|CrOS|Linux/.test(agent) ? "computer" : "device";
}

/** Return the browser and the address of which an event tells, as one text. */
export const originOf = ({ ip, user_agent }) => [user_agent && browserOf(user_agent), ip].filter(Boolean).join(" · ");

/**
 * Join the account's devices with its sessions, and with the newest event that tells where each is used from: this
 * device first, then those that are logged in, by their last activity. A session on a device that is not registered
 * is a row of its own.
 * @param {Record<string, any>[]} devices of `/device/list`
 * @param {Record<string, any>[]} sessions of `/session/list`
 * @param {Record<string, any>[]} events of `/session/history`, newest first
 */
export function joined(devices, sessions, events) {
  const registered = new Set(devices.map((device) => device.device_id));
  const alone = sessions.filter((session) => !registered.has(session.device_id));
  const rows = [...devices, ...alone.map((session) => ({ ...session, is_active: true, registered_at: null }))];
  return rows
    .map((row) => {
      const begun = events.find((event) => event.device_id === row.device_id && BEGINNINGS.includes(event.kind));
      const session = sessions.find((each) => each.device_id === row.device_id);
      return {
        ...row,
        session_id: session?.session_id ?? null,
        kind: kindOf(begun?.user_agent ?? ""),
        origin: begun ? originOf(begun) : "",
      };
    })
    .sort((one, other) => other.current - one.current || other.is_active - one.is_active || later(one, other));
}

const later = (one, other) =>
  (other.last_seen_at ?? other.registered_at).localeCompare(one.last_seen_at ?? one.registered_at);
