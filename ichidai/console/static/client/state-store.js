/**
 * What outlives a page: the session's refresh token, and the devices that this browser is, with their keys. It lies in
 * IndexedDB.
 *
 * Secrets are sealed with an AES-GCM key that no script can read (it is not extractable). That keeps the token out of
 * backups, exports and other programs that look through the store's text; it does not stop a script that runs in this
 * origin, which can use the key as we do. Where the browser has no IndexedDB or no WebCrypto (plain HTTP to another
 * host), everything stays in memory and is gone with the page.
 */

const STORES = ["keys", "sessions", "devices", "tokens"];
const VERSION = 2; // one more whenever a store is added

/** A named store of values by key: in IndexedDB, or in memory. */
export class StateStore {
  /** @param {string} name one for each suite */
  constructor(name) {
    this._name = name;
    this._memory = new Map(STORES.map((store) => [store, new Map()]));
  }

  /** Return a value, or undefined. */
  async get(store, key) {
    return this._run(store, "readonly", (open) => open.get(key), (held) => held.get(key));
  }

  /** Return every value of a store. */
  async all(store) {
    return this._run(store, "readonly", (open) => open.getAll(), (held) => [...held.values()]);
  }

  /** Keep a value. */
  async put(store, key, value) {
    await this._run(store, "readwrite", (open) => open.put(value, key), (held) => held.set(key, value));
  }

  /** Forget a value. */
  async remove(store, key) {
    await this._run(store, "readwrite", (open) => open.delete(key), (held) => held.delete(key));
  }

  /** Say whether what is kept outlives the page. */
  async isLasting() {
    return (await this._open()) !== null;
  }

  /** Return a text in a form that only this browser can open. */
  async seal(text) {
    const key = await this._sealingKey();
    if (!key) return { text };
    const iv = crypto.getRandomValues(new Uint8Array(12));
    return { iv, box: await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, new TextEncoder().encode(text)) };
  }

  /** Return the text of what `seal` made. Throws where the key is another one. */
  async unseal({ text, iv, box }) {
    if (text !== undefined) return text;
    const key = await this._sealingKey();
    return new TextDecoder().decode(await crypto.subtle.decrypt({ name: "AES-GCM", iv }, key, box));
  }

  /** The key that seals, made at first use; none where there is nowhere to keep it. */
  _sealingKey() {
    this._sealing ??= this._foundOrMadeKey();
    return this._sealing;
  }

  async _foundOrMadeKey() {
    if (!(await this._open())) return null;
    const made = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
    return this._run("keys", "readwrite", (open) => firstOf(open, "sealing", made), () => null);
  }

  async _run(store, mode, inDatabase, inMemory) {
    const database = await this._open();
    if (!database) return inMemory(this._memory.get(store));
    const transaction = database.transaction(store, mode, { durability: "strict" });
    const result = inDatabase(transaction.objectStore(store));
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(result.result);
      transaction.onabort = () => reject(transaction.error);
    });
  }

  /** Open the database once; null where there is none. */
  _open() {
    this._opening ??= new Promise((resolve) => {
      if (!globalThis.indexedDB || !globalThis.crypto?.subtle) return resolve(null);
      const request = indexedDB.open(this._name, VERSION);
      request.onupgradeneeded = () => {
        const there = request.result.objectStoreNames;
        STORES.filter((store) => !there.contains(store)).forEach((store) => request.result.createObjectStore(store));
      };
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => resolve(null);
    });
    return this._opening;
  }
}

/** Keep a value where none is yet, in one transaction, so that all tabs end up with the same; return what is there. */
function firstOf(open, key, value) {
  const outcome = { result: undefined };
  const held = open.get(key);
  held.onsuccess = () => {
    outcome.result = held.result ?? value;
    if (held.result === undefined) open.put(value, key);
  };
  return outcome;
}
