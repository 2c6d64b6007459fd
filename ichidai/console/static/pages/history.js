/** History: what happened to the account, newest first. */
import { ichidai } from "../suite.js";
import { onEnter } from "../router.js";
import { fillList, part, say, text } from "../views.js";
import { signed } from "./account.js";

const PAGE = 20;

export function mount(root) {
  let events = [];
  let before = null;
  const load = async () => {
    const page = await ichidai.get(`/session/history?limit=${PAGE}${before ? `&before=${before}` : ""}`);
    const failed = page.failed_logins.map((attempt) => ({ ...attempt, kind: "login-failed", device_name: null }));
    events = [...events, ...page.events, ...failed].sort((one, other) => other.at.localeCompare(one.at));
    before = page.next_before ?? null;
    display(root, events);
    part(root, "more").hidden = before === null;
  };
  part(root, "more").addEventListener("click", () => signed(root, load));
  onEnter("history", () => {
    say(root, null);
    events = [];
    before = null;
    signed(root, load);
  });
}

function display(root, events) {
  const rows = events.map((event) => ({
    ...event,
    what: text(`event_${event.kind}`) ?? event.kind,
    why: event.reason ? (text(`why_${event.reason}`) ?? event.reason) : "",
    from: [event.ip, event.user_agent && browserOf(event.user_agent)].filter(Boolean).join(" · "),
  }));
  fillList(root, "list", rows, (row, event) => {
    part(row, "device").hidden = !event.device_name;
    part(row, "why").hidden = !event.why;
    part(row, "from").hidden = !event.from;
  });
}

/** The short name of a browser and its system, or what the client says of itself. */
function browserOf(agent) {
  const browser = [["Edg/", "Edge"], ["OPR/", "Opera"], ["Firefox/", "Firefox"], ["Chrome/", "Chrome"], ["Safari/", "Safari"]];
  const system = [["Android", "Android"], ["iPhone", "iPhone"], ["iPad", "iPad"], ["Windows", "Windows"], ["Mac OS", "macOS"], ["Linux", "Linux"]];
  const named = [browser, system].map((list) => list.find(([sign]) => agent.includes(sign))?.[1]).filter(Boolean);
  return named.length === 2 ? named.join(", ") : agent;
}
