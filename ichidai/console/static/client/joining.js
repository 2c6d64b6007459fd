/** Joining without the password: the users of all active devices type the digits that this screen shows. */
import { setLatest } from "./devices.js";
import { makeKeys } from "./keys.js";

const LOOK_MS = 1_000;

/**
 * Ask to join an account, and be logged in as a device of it; null when the person would rather not wait, or not switch.
 * @param {import("./wire.js").Wire} wire
 * @param {import("./devices.js").Devices} devices
 * @param {import("./endpoints.js").Endpoints} endpoints
 * @param {((question: object) => Promise<boolean>) | null} ask
 * @param {{username: string, device_name?: string}} fields
 */
export async function joinByApproval(wire, devices, endpoints, ask, fields) {
  const keys = (await devices.canKeepKeys()) ? await makeKeys() : undefined;
  const body = { ...fields, ...(keys && (await endpoints.ownKeys(keys, fields))) };
  const asked = await wire.post("/registration/join", body);
  const answer = await approvedAnswer(wire, endpoints, ask, { ...body, join_token: asked.join_token }, asked);
  if (answer === null) return null;
  const { username } = await wire.get("/session/verify", answer.access_token);
  await devices.remember(username, answer, keys);
  setLatest(answer.client_cert_fp);
  return { username, answer };
}

async function approvedAnswer(wire, endpoints, ask, body, asked) {
  const over = new AbortController();
  const cancelled = endpoints.showDigits(asked, over.signal).then(() => true);
  try {
    while (!(await Promise.race([cancelled, pause()]))) {
      const answer = await wire.post("/registration/join", body);
      if (answer.access_token) return answer;
    }
    return null;
  } catch (problem) {
    over.abort();
    return admitted(wire, endpoints, ask, body, problem);
  } finally {
    over.abort();
  }
}

/** Ask as long as a session is live that was not shown yet. */
async function admitted(wire, endpoints, ask, body, problem) {
  const takeover = await endpoints.consented(problem, ask);
  if (!takeover) return null;
  try {
    return await wire.post("/registration/join", { ...body, takeover_token: takeover.token });
  } catch (again) {
    return admitted(wire, endpoints, ask, body, again);
  }
}

const pause = () => new Promise((resolve) => setTimeout(resolve, LOOK_MS, false));
