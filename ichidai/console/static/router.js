/** Which view an address shows. Going to another view changes the address and loads nothing; no address holds a secret. */
import { focusHeading, show, view } from "./views.js";

const ROUTES = {
  "/": () => (isInside() ? "home" : "landing"),
  "/#devices": "devices",
  "/#add": "add",
  "/#sessions": "sessions",
  "/#history": "history",
  "/login": "login",
  "/registration/": "register",
  "/registration/#join": "join",
};
const OF_SOMEBODY = ["devices", "add", "sessions", "history"];

const entering = new Map();
let isInside = () => false;

/** Let `enter` run whenever a view is shown. */
export const onEnter = (name, enter) => entering.set(name, enter);

/** Begin: show what the address asks for. `asks` tells whether somebody is logged in. */
export function start(asks) {
  isInside = asks;
  addEventListener("popstate", () => render());
  document.addEventListener("click", follow);
  render({ first: true });
}

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

/** Show what the address asks for; whoever is not logged in is asked to be so first. */
export function render({ first = false } = {}) {
  const name = wanted();
  show(name);
  settle(name, first);
}

function settle(name, first = false) {
  for (const part of document.querySelectorAll("[data-for]")) part.hidden = (part.dataset.for === "inside") !== isInside();
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
  return OF_SOMEBODY.includes(name) && !isInside() ? "login" : view(name) ? name : "login";
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
