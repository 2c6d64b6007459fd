/**
 * Which registered device this browser is, for each account that uses it. A certificate's fingerprint is public and
 * opens nothing alone, so the latest one is in localStorage too, where the "Add a device" button reads it.
 */
const LATEST = "currentlyLoggedinFingerprint";

/**
 * @typedef {{fingerprint: string, username: string, user_uuid: string, device_id: string, keys?: CryptoKeyPair}} Device
 *   `keys` where the device made its own
 */

export class Devices {
  /** @param {import("./state-store.js").StateStore} stateStore */
  constructor(stateStore) {
    this._stateStore = stateStore;
  }

  /** Say whether a key that is made here would still be here tomorrow. */
  async canKeepKeys() {
    return this._stateStore.isLasting();
  }

  /** Remember what a registration answered, with the keys that were made for it here. */
  async remember(username, { client_cert_fp: fingerprint, uuid: user_uuid, device_id }, keys) {
    await this._stateStore.put("devices", fingerprint, { fingerprint, username, user_uuid, device_id, keys });
    setLatest(fingerprint);
  }

  /**
   * Return the device that this browser is for an account, or undefined.
   * @param {string} username
   * @returns {Promise<Device | undefined>}
   */
  async of(username) {
    const own = (await this._stateStore.all("devices")).filter((device) => folded(device.username) === folded(username));
    return own.find((device) => device.fingerprint === latest()) ?? own.at(-1);
  }

  /** Return the device that this browser is for the account of an uuid, or undefined. @param {string} user_uuid */
  async ofUser(user_uuid) {
    const own = (await this._stateStore.all("devices")).filter((device) => device.user_uuid === user_uuid);
    return own.find((device) => device.fingerprint === latest()) ?? own.at(-1);
  }

  /** Return the device that has a certificate, or undefined. @returns {Promise<Device | undefined>} */
  async having(fingerprint) {
    return this._stateStore.get("devices", fingerprint);
  }

  /** Return what makes a browser without a certificate the same device again, where the suite demands no proof. */
  async tokenOf(username) {
    const sealed = await this._stateStore.get("tokens", folded(username));
    return sealed && this._stateStore.unseal(sealed);
  }

  /** Keep it for the next login. */
  async keepToken(username, token) {
    await this._stateStore.put("tokens", folded(username), await this._stateStore.seal(token));
  }

  /** Let what is known of an account be known under its new name. */
  async rename(before, username) {
    const devices = (await this._stateStore.all("devices")).filter((each) => folded(each.username) === folded(before));
    for (const device of devices) await this._stateStore.put("devices", device.fingerprint, { ...device, username });
    const token = await this._stateStore.get("tokens", folded(before));
    if (token) await this._stateStore.put("tokens", folded(username), token);
  }

  /** Forget a device: it was removed from its account. */
  async forget(fingerprint) {
    await this._stateStore.remove("devices", fingerprint);
    if (latest() === fingerprint) setLatest(null);
  }
}

const folded = (name) => name.normalize("NFKC").toLowerCase();

/** Return the fingerprint of the device that was used last, or "". */
export function latest() {
  try {
    return localStorage.getItem(LATEST) ?? "";
  } catch {
    return "";
  }
}

/** Note the fingerprint of the device that is used, where the browser lets us. */
export function setLatest(fingerprint) {
  try {
    if (fingerprint) localStorage.setItem(LATEST, fingerprint);
    else localStorage.removeItem(LATEST);
  } catch {
    // The person pastes it then.
  }
}
