/** The pages settle on one address: keys that a browser made for one origin are not there in another. */
const LOOPBACK = ["127.0.0.1", "localhost"];

/**
 * Return where these pages are to be opened instead, or null where they are at home. A console that is known by a
 * loopback address alone stays where it is opened, except for the other spelling of that address: the user who opened it
 * elsewhere may not be able to reach this one.
 * @param {Location} here
 * @param {string} address the console's, as the suite was told it
 */
export function settled(here, address) {
  const home = new URL(address);
  const isSpelling = LOOPBACK.includes(here.hostname) && home.port === here.port;
  if (here.origin === home.origin || (LOOPBACK.includes(home.hostname) && !isSpelling)) return null;
  return home.origin + here.pathname + here.search + here.hash;
}
