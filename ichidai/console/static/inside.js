/** What a person sees once logged in: who, which device, all devices, another device's code, and the ways out. */
import { post } from "./api.js";
import { remembered } from "./device.js";
import { hidePairing, showPairing } from "./pairing.js";
import { forget, getSigned, isOpen, keep, postSigned } from "./session.js";
import { attempt, fill, filled, onSubmit, part, say, show, text, view } from "./views.js";

const LOOK_EVERY = 5_000;
const ENDED_HERE = ["expired", "logged-out"];

const inside = view("inside");
const adding = inside.querySelector("form");
let username;
let shown;
let isAway = false;
let visit = 0; // counts logins and ends, so that what was asked in one visit is not told in another

/** Open the view for somebody who has just logged in. */
export async function enter(name, answer) {
  keep(answer);
  visit += 1;
  username = name;
  shown = undefined;
  hidePairing(inside);
  showAdding(false);
  say(inside, null);
  fill(inside, { username, device_name: answer.device_id, login_at: answer.login_at });
  part(inside, "devices").replaceChildren();
  await look();
  if (isOpen()) show("inside");
}

/**
 * Look how things stand. It does not count as activity, so a page left open keeps nobody logged in. A login app alone
 * has no devices to tell of.
 */
async function look() {
  const asked = visit;
  const { devices, problem } = await getSigned("/device/list").catch((failure) => ({ problem: failure }));
  if (asked !== visit) return;
  if (problem) {
    if (problem.code === "not-found") serveManaging(false);
    else leaveOr(problem, () => sayAway(problem.message));
    return;
  }
  display(devices);
  serveManaging(true);
  sayAway(null);
}

/** Say once that a look failed, and take it back when one succeeds. */
function sayAway(words) {
  if (isAway !== Boolean(words)) say(inside, words, { bad: true });
  isAway = Boolean(words);
}

function display(devices) {
  const state = JSON.stringify(devices);
  if (state === shown) return;
  shown = state;
  const current = devices.find((device) => device.current);
  fill(inside, { device_name: current ? nameOf(current) : text("unknown_device") });
  part(inside, "devices").replaceChildren(...devices.map(row));
}

function row(device) {
  const item = filled("device", { ...device, device_name: nameOf(device) });
  part(item, "current").hidden = !device.current;
  part(item, "is_active").hidden = !device.is_active;
  part(item, "primary").hidden = device.role !== "primary";
  part(item, "seen").hidden = device.last_seen_at === null;
  return item;
}

const nameOf = (device) => device.device_name ?? text("unknown_device");

function serveManaging(served) {
  part(inside, "managing").hidden = !served;
  part(inside, "login_only").hidden = served;
}

/** Leave when the session is over: it says so to the person, and never tries to come back by itself. */
function leaveOr(problem, otherwise) {
  if (!["session-ended", "invalid-token"].includes(problem.code)) {
    otherwise();
    return;
  }
  leave();
  const title = text(ENDED_HERE.includes(problem.document.reason) ? "ended" : "ended_elsewhere");
  fill(view("ended"), { title, detail: problem.message });
  show("ended");
}

function leave() {
  forget();
  visit += 1;
  hidePairing(inside);
}

function signedAttempt(work) {
  return attempt(inside, async () => {
    try {
      await work();
    } catch (problem) {
      leaveOr(problem, () => {
        throw problem;
      });
    }
  });
}

function showAdding(open) {
  adding.reset();
  adding.hidden = !open;
  part(inside, "add").setAttribute("aria-expanded", String(open));
}

part(inside, "add").addEventListener("click", () => {
  hidePairing(inside);
  showAdding(adding.hidden);
  if (!adding.hidden) adding.elements.password.focus();
});

onSubmit(inside, adding, async ({ password }) => {
  if (!remembered()) throw new Error(text("no_fingerprint"));
  const body = { username, password, client_cert_fp: remembered() };
  const code = await post("/registration/request_pairing_token", body);
  showAdding(false);
  showPairing(inside, code);
});

part(inside, "others").addEventListener("click", () => signedAttempt(logOutOthers));

async function logOutOthers() {
  const { sessions } = await getSigned("/session/list");
  const others = sessions.filter((session) => !session.current);
  for (const { session_id } of others) await revoke(session_id);
  await look();
  say(inside, text(others.length ? "others_out" : "no_others"));
}

async function revoke(sessionId) {
  try {
    await postSigned("/session/revoke", { session_id: sessionId });
  } catch (problem) {
    if (problem.code !== "not-found") throw problem;
  }
}

part(inside, "out").addEventListener("click", () =>
  signedAttempt(async () => {
    await postSigned("/session/logout");
    leave();
    say(view("login"), text("logged_out"));
    show("login");
  }),
);

const lookIfOpen = () => {
  if (isOpen() && !document.hidden && part(inside, "login_only").hidden) look();
};
setInterval(lookIfOpen, LOOK_EVERY);
document.addEventListener("visibilitychange", lookIfOpen);
addEventListener("focus", lookIfOpen);
