/**
 * The session of this page. Its tokens are in this module's memory and nowhere else: not in storage, not in an address,
 * not in a cookie. An expired access token is renewed once, for all calls that wait for it.
 */
import { get, post } from "./api.js";

let tokens = null;
let renewal = null;

/** Keep the tokens of a login. */
export function keep({ access_token: access, refresh_token: refresh }) {
  tokens = { access, refresh };
}

/** Forget them. */
export function forget() {
  tokens = null;
}

/** Say whether somebody is logged in here. */
export const isOpen = () => tokens !== null;

/** GET as the person who is logged in. */
export const getSigned = (path) => signed((access) => get(path, access));

/** POST as the person who is logged in. */
export const postSigned = (path, body) => signed((access) => post(path, body, access));

async function signed(call) {
  try {
    return await call(tokens.access);
  } catch (problem) {
    if (problem.code !== "token-expired") throw problem;
  }
  renewal ??= renew().finally(() => {
    renewal = null;
  });
  await renewal;
  return call(tokens.access);
}

async function renew() {
  const { refresh } = tokens;
  keep(await post("/session/refresh", { refresh_token: refresh }));
}
