/** Showing a code by which another device joins, until it expires. */
import { part, say, text } from "../views.js";

const TICK_MS = 1_000;
let ticking;

/**
 * Show a pairing code in a view.
 * @param {HTMLElement} root
 * @param {{qr_link: string, qr_png: string, expires_at: string}} code
 * @param {() => void} [over] runs when it has expired
 */
export function showPairing(root, code, over = () => {}) {
  const figure = part(root, "pairing");
  part(figure, "qr").src = code.qr_png;
  part(figure, "qr_text").value = code.qr_link;
  part(figure, "copy").hidden = !navigator.clipboard;
  part(figure, "copy").onclick = async () => {
    await navigator.clipboard.writeText(code.qr_link);
    say(root, text("copied"));
  };
  part(figure, "print").onclick = () => print();
  figure.hidden = false;
  const tick = () => {
    if (!count(figure, code.expires_at)) {
      hidePairing(root);
      say(root, text("pairing_over"), { bad: true });
      over();
    }
  };
  clearInterval(ticking);
  ticking = setInterval(tick, TICK_MS);
  tick();
}

/** Write how much time is left; say whether there is any. */
function count(figure, expiresAt) {
  const seconds = Math.max(0, Math.round((new Date(expiresAt) - Date.now()) / 1000));
  const left = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  part(figure, "left").textContent = left;
  part(figure, "bar").value = seconds;
  return seconds > 0;
}

/** Take the code out of the view. */
export function hidePairing(root) {
  clearInterval(ticking);
  const figure = part(root, "pairing");
  figure.hidden = true;
  part(figure, "qr").removeAttribute("src");
  part(figure, "qr_text").value = "";
}
