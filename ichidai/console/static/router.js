/** Which view an address shows. Going to another view changes the address and loads nothing; no address holds a secret. */
import { focusHeading, show } from "./views.js";

const ROUTES = {
  "/": () => (isInside() ? "home" : "landing"),
  "/#devices": "devices",
  "/#add": "add",
  "/#history": "history",
  "/#security": "security",
  "/login": "login",
  "/registration/": "register",
  "/registration/#join": "join",
};
const OF_SOMEBODY = ["devices", "add", "history", "security"];

const MOVED = { "#sessions": "#devices" };
const JOINING = "#join=";
const INVITING = "#invite=";

const entering = new Map();
let onCode = () => {};
let onInvitation = () => {};
let isInside = () => false;

/** Let `enter` run whenever a view is shown. */
export const onEnter = (name, enter) => entering.set(name, enter);

/** Begin: show what the address asks for. `asks` tells whether a user is logged in. */
export function start(asks) {
  isInside = asks;
  addEventListener("popstate", () => {
    lead();
    takeCode();
    render();
  });
  document.addEventListener("click", follow);
  lead();
  takeCode();
  render({ first: true });
}

/** Lead on from the address of a view that is part of another one by now. */
function lead() {
  const moved = MOVED[location.hash];
  if (moved) history.replaceState(null, "", location.pathname + location.search + moved);
}

/** Take a pairing code or an invitation out of the address, and with it out of the browser's history, and give it to its view. */
function takeCode() {
  if (/^#(reset|confirm|object)=/.test(location.hash)) import("./pages/links.js").then(({ follow }) => follow());
  if (location.hash.startsWith(INVITING)) {
    const invitation = location.hash.slice(INVITING.length);
    history.replaceState(null, "", location.pathname);
    onInvitation(invitation);
  }
  if (!location.hash.startsWith(JOINING)) return;
  const code = location.hash.slice(JOINING.length);
  history.replaceState(null, "", `${location.pathname}#join`);
  onCode(code);
}

/** Let `take` have the invitation with which a link opens the registration. */
export const onInvitationInAddress = (take) => (onInvitation = take);

/** Let `take` have the code with which a link opens the join view. */
export const onCodeInAddress = (take) => (onCode = take);

/** Go to an address of these pages. */
export function go(address) {
  history.pushState(null, "", address);
  render();
}

/** Show a view that has no address of its own, in place of the present one. */
export function turnTo(name) {
  show(name);
  settle(name);
}

/** Show what the address asks for; a user who is not logged in is asked to log in first. */
export function render({ first = false } = {}) {
  const name = wanted();
  show(name);
  settle(name, first);
}

/** Show what is for a user who is logged in, or what is for others, around the views. */
export function markInside() {
  for (const part of document.querySelectorAll("[data-for]")) part.hidden = (part.dataset.for === "inside") !== isInside();
}

function settle(name, first = false) {
  markInside();
  for (const link of document.querySelectorAll("nav a")) {
    if (address(new URL(link.href)) === address(location)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!first) focusHeading(name);
  entering.get(name)?.();
}

function wanted() {
  const route = ROUTES[address(location)] ?? ROUTES[address({ pathname: location.pathname, hash: "" })];
  const name = typeof route === "function" ? route() : route;
  return OF_SOMEBODY.includes(name) && !isInside() ? "login" : (name ?? "login");
}

/** An address without the difference that a last slash makes. */
function address({ pathname, hash }) {
  const path = pathname.replace(/\/$/, "");
  return (path === "/registration" || path === "" ? `${path}/` : path) + (hash === "#main" ? "" : hash);
}

function follow(event) {
  const link = event.target.closest("a[data-route], button[data-href]");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(link.dataset.href ?? link.getAttribute("href"));
}
